"""Installs a package in a node: the tool of a `qcow2_provision`.

    upgrade.py KERNEL PACKAGE

Boots a node on $DISK, unpacks the package, an archive for tar, over its root directory, and
switches the node off.

The same inputs give the same files in the same places, but not the same bytes: about a
kilobyte differs, in what the guest's kernel draws at random or takes from its clock
(generation numbers and times of inodes, the journal, the counters of the superblock, and
their checksums).
"""

import sys

from guest import Node, disk


def main(kernel, package):
    archive = {"driver": "raw", "read-only": True, "file": {"driver": "file", "filename": package}}
    # A clock that starts at a fixed date and runs as the virtual machine does.
    clock = ["-rtc", "base=2020-01-02,clock=vm"]
    with Node("upgrade", kernel, [disk("DISK"), archive], *clock) as node:
        node.wait_ready()
        node.output("tar --extract --file /dev/disk2 --directory /")
        node.power_off()


if __name__ == "__main__":
    main(*sys.argv[1:])
