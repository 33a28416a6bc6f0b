"""Warm nodes: they go on where another node, which had booted, was stopped.

    with WarmNode("one", kernel, [disk("NODE1")], state, about) as node:
        node.wait_ready()

As a program, it is the tool of a `qcow2_provision` that makes what these need:

    warm_node.py KERNEL STATE ABOUT

It boots a node on $DISK and saves its state, that of its memory, CPU and devices, to the file
STATE, and to ABOUT, as JSON, what must be the same where a node starts from it. NODE1 above
is a fresh overlay of the disk that the provisioning keeps, and of no other: what a node has
in its memory of its file systems must agree with what is on them.

Of the same inputs come a state and a disk that do the same, but not the same bytes.
"""

import functools
import json
import subprocess
import sys
import time
from pathlib import Path

from guest import QEMU, GuestError, Node, disk, machine

# A page of zeros takes 9 bytes in a state. The kernel fills memory with zeros when it becomes
# free (init_on_free=1, guest.py); this frees what is only there to be read again. Of a node
# whose 256 MiB are full of such, the state has 62 MB instead of 249. Without init_on_free it
# has 254 MB with or without this; a balloon then makes that 73, a file of zeros in /tmp 78.
FREE_MEMORY = "sync && echo 3 > /proc/sys/vm/drop_caches"

# What the node is made ready with: a team's services would start here. The read waits until
# the kernel can draw random numbers, which else each node that starts warm has to wait for.
MAKE_READY = (
    "head -c 1 /dev/random > /dev/null && echo before > /root/saved && { sleep infinity & echo $! > /run/service.pid; }"
)


class WarmNode(Node):
    """A node that starts from a saved state. Its clock goes on from when that was saved."""

    def __init__(self, name, kernel, disks, state, about):
        check(about, disks)
        super().__init__(name, kernel, disks, "-incoming", f"file:{state}")

    def wait_ready(self, timeout=60):
        deadline = time.monotonic() + timeout
        while self.tell_qemu("query-status")["status"] == "inmigrate":
            if time.monotonic() > deadline:
                raise GuestError(f"{self.name}: its state was not read within {timeout} s")
            time.sleep(0.01)
        self.tell_qemu("cont")
        self.output("true")


def save(node, state):
    """Stops a node, writes its state to a file, and ends it."""
    node.output(FREE_MEMORY)
    node.tell_qemu("stop")
    node.tell_qemu("migrate", uri=f"file:{state}")
    while (said := node.tell_qemu("query-migrate"))["status"] != "completed":
        if said["status"] == "failed":
            raise GuestError(f"{node.name}: its state was not saved: {said['error-desc']}")
        time.sleep(0.05)
    node.tell_qemu("quit")
    node.kill()


def depends_on(disks):
    """What a state depends on, beside what is on the disks."""
    return {"version": version()} | machine(disks)


@functools.cache
def version():
    """That of QEMU, which takes a tenth of a warm start to say it."""
    said = subprocess.check_output([QEMU, "--version"], text=True)
    return said.splitlines()[0]


def check(about, disks):
    """Fails, in one line, where a state is not one for a node of this QEMU with these disks."""
    saved = json.loads(Path(about).read_text())
    for name, here in depends_on(disks).items():
        if saved.get(name) != here:
            raise GuestError(f"{about}: the state was saved with {name} {saved.get(name)!r}, and here it is {here!r}")


def main(kernel, state, about):
    disks = [disk("DISK")]
    Path(about).write_text(json.dumps(depends_on(disks), indent=2) + "\n")
    with Node("warm", kernel, disks) as node:
        node.wait_ready()
        node.output(MAKE_READY)
        save(node, state)


if __name__ == "__main__":
    main(*sys.argv[1:])
