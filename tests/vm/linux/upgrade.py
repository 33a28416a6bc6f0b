"""Installs a package in a node: the tool of a `qcow2_provision`.

    upgrade.py KERNEL PACKAGE

Boots a node on $DISK, unpacks the package, a tar archive, into its root directory, and powers
the node off.

The same inputs give the same files in the same places, but not the same bytes. About a
kilobyte differs: data that the guest's kernel draws at random or takes from its clock
(generation numbers and times of inodes, the journal, the counters of the superblock, and
their checksums).
"""

import sys

from guest import Node, disk


def main(kernel, package):
    archive = {"driver": "raw", "read-only": True, "file": {"driver": "file", "filename": package}}
    # The clock starts at a fixed date and follows the virtual machine, not the host.
    clock = ["-rtc", "base=2020-01-02,clock=vm"]
    with Node("upgrade", kernel, [disk("DISK"), archive], *clock) as node:
        node.wait_ready()
        node.output("tar --extract --file /dev/disk2 --directory /")
        node.power_off()


if __name__ == "__main__":
    main(*sys.argv[1:])
