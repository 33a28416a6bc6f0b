"""Boots a node on a new overlay of an image, installs a package, keeps the overlay.

Its arguments: TOOL KERNEL BASE PACKAGE OVERLAY.
"""

import os
import subprocess
import sys

from guest import Node


def main(tool, kernel, base, package, overlay):
    # The overlay stands beside its base: so the name alone is right wherever both are.
    name = os.path.basename(base)
    subprocess.run([tool, "create", "-q", "-b", name, "-F", "raw", "--probe", base, overlay], check=True)
    # QEMU is told what the base is: it follows no stored name, and leaves it as it is.
    disk = {"driver": "qcow2", "file": file(overlay), "backing": read_only(base)}
    # A clock that starts at a fixed date and runs as the virtual machine does.
    clock = ["-rtc", "base=2020-01-02,clock=vm"]
    with Node("upgrade", kernel, [disk, read_only(package)], *clock) as node:
        node.wait_ready()
        node.output("tar --extract --file /dev/disk2 --directory /")
        node.power_off()


def file(path):
    return {"driver": "file", "filename": path}


def read_only(path):
    return {"driver": "raw", "read-only": True, "file": file(path)}


if __name__ == "__main__":
    main(*sys.argv[1:])
