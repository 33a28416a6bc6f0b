"""Writes an initial RAM disk, which loads drivers, mounts the partition `root` and starts the node.

    initrd.py OUTPUT

Its programs are this machine's own, as those of the node are.
"""

import glob
import lzma
import os
import shutil
import sys

from node_image import LINKS, libraries, links_and_file

PROGRAMS = "bash blkid chroot insmod mount sleep".split()
# In this order: a module needs those before it.
MODULES = [
    "drivers/block/virtio_blk",
    "fs/efivarfs/efivarfs",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
]
INIT = b"""#!/bin/bash
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*; do insmod "$module"; done
until root=$(blkid --match-token PARTLABEL=root --output device); do sleep 0.1; done
mount -o ro "$root" /root
exec chroot /root /usr/sbin/init
"""

DIRECTORY, PROGRAM, LINK = 0o40755, 0o100755, 0o120777


def main(output):
    # Bazel's PATH lacks the directory of some of these.
    os.environ["PATH"] += ":/usr/sbin"
    entries = {name: (DIRECTORY, b"") for name in ("dev", "modules", "proc", "root", "sys")}
    entries |= {name: (LINK, target.encode()) for name, target in LINKS.items()}
    programs = [shutil.which(program) for program in PROGRAMS]
    for path in programs + libraries(programs):
        for step in links_and_file(path):
            entries[step.lstrip("/")] = link_or_program(step)
    for number, module in enumerate(MODULES):
        (path,) = glob.glob(f"/usr/lib/modules/*/kernel/{module}.ko.xz")
        with lzma.open(path) as file:
            entries[f"modules/{number}"] = (PROGRAM, file.read())
    entries["init"] = (PROGRAM, INIT)
    for name in list(entries):
        while name := os.path.dirname(name):
            entries.setdefault(name, (DIRECTORY, b""))
    with open(output, "wb") as archive:
        for number, (name, (mode, content)) in enumerate(sorted(entries.items()), start=1):
            archive.write(entry(number, name, mode, content))
        archive.write(entry(0, "TRAILER!!!", 0, b""))


def link_or_program(path):
    if os.path.islink(path):
        return LINK, os.readlink(path).encode()
    with open(path, "rb") as file:
        return PROGRAM, file.read()


def entry(number, name, mode, content):
    """An entry of a cpio archive of the kind that Linux reads (Documentation/driver-api/early-userspace)."""
    name = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + name) + padded(content)


def padded(part):
    return part + b"\0" * (-len(part) % 4)


if __name__ == "__main__":
    main(*sys.argv[1:])
