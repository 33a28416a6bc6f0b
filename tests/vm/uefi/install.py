"""The tool of a `qcow2_provision`: a node boots, and writes to its disks and its firmware's variables.

install.py FIRMWARE
"""

import os
import sys

from guest import disk
from uefi_node import MOUNT_VARIABLES, VARIABLE, UefiNode


def main(firmware):
    disks = [disk("DISK"), disk("DATA")]
    with UefiNode("installer", firmware, os.environ["VARS"], disks) as node:
        node.wait_ready()
        node.output("mkfs.ext4 -q /dev/disk2 && mount /dev/disk2 /data && echo data > /data/file")
        node.output("mount -o remount,rw / && echo installed > /root/file")
        node.output(f"{MOUNT_VARIABLES} && printf '\\7\\0\\0\\0installed' > {VARIABLE}")
        node.power_off()


if __name__ == "__main__":
    main(*sys.argv[1:])
