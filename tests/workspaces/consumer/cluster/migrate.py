"""Moves data from one disk to another."""

import os
import subprocess


def qemu_io(disk, *commands):
    """Reads and writes a disk as a guest would; fails if it reads other bytes."""
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", "qcow2", *words, disk], check=True)


def main():
    node, database = os.environ["NODE"], os.environ["DATABASE"]
    for round in range(1, int(os.environ["ROUNDS"]) + 1):
        offset = f"{round}M"
        qemu_io(node, f"read -P 0 {offset} 64k", f"write -P {round} {offset} 64k")
        qemu_io(database, f"write -P {round} {offset} 64k")
    for round in range(1, int(os.environ["ROUNDS"]) + 1):
        qemu_io(database, f"read -P {round} {round}M 64k")


if __name__ == "__main__":
    main()
