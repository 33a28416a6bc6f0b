"""Warm nodes: they resume from the saved state of a node that has booted.

    with WarmNode("one", kernel, [disk("NODE1")], state, about) as node:
        node.wait_ready()

As a program, this is the tool of a `qcow2_provision` that makes what warm nodes need:

    warm_node.py KERNEL STATE ABOUT

It boots a node on $DISK and saves the state of its memory, CPU and devices to the file STATE.
To ABOUT it writes, as JSON, what must be the same for a node that starts from the state. NODE1
above must be a fresh overlay of the provisioned disk and of no other: what a node has in
memory of its file systems must agree with what is on its disk.

The same inputs give a state and a disk that behave the same, but not the same bytes.
"""

import functools
import json
import subprocess
import sys
import time
from pathlib import Path

from guest import QEMU, GuestError, Node, disk, machine

# A page of zeros takes 9 bytes in a state. The kernel fills freed memory with zeros
# (init_on_free=1, guest.py), and this command frees the caches. If caches fill the 256 MiB of a
# node, its state is 62 MB instead of 249 MB. Without init_on_free it is 254 MB with or without
# this command; a balloon then reduces it to 73 MB, a file of zeros in /tmp to 78 MB.
FREE_MEMORY = "sync && echo 3 > /proc/sys/vm/drop_caches"

# Prepares the node: a team's services would start here. The read waits until the kernel can
# draw random numbers; otherwise each warm node would have to wait for that.
MAKE_READY = (
    "head -c 1 /dev/random > /dev/null && echo before > /root/saved && { sleep infinity & echo $! > /run/service.pid; }"
)


class WarmNode(Node):
    """A node that starts from a saved state. Its clock continues from the time of the save."""

    def __init__(self, name, kernel, disks, state, about):
        check(about, disks)
        super().__init__(name, kernel, disks, "-incoming", f"file:{state}")

    def wait_ready(self, timeout=60):
        deadline = time.monotonic() + timeout
        while self.qmp("query-status")["status"] == "inmigrate":
            if time.monotonic() > deadline:
                raise GuestError(f"{self.name}: its state was not read within {timeout} s")
            time.sleep(0.01)
        self.qmp("cont")
        self.output("true")


def save(node, state):
    """Stops a node, writes its state to a file, and ends it."""
    node.output(FREE_MEMORY)
    node.qmp("stop")
    node.qmp("migrate", uri=f"file:{state}")
    while (answer := node.qmp("query-migrate"))["status"] != "completed":
        if answer["status"] == "failed":
            raise GuestError(f"{node.name}: its state was not saved: {answer['error-desc']}")
        time.sleep(0.05)
    node.qmp("quit")
    node.kill()


def depends_on(disks):
    """What a state depends on, besides the content of the disks."""
    return {"version": version()} | machine(disks)


@functools.cache
def version():
    """The version of QEMU. To ask QEMU takes a tenth of the time of a warm start."""
    output = subprocess.check_output([QEMU, "--version"], text=True)
    return output.splitlines()[0]


def check(about, disks):
    """Fails with one line if the state does not fit this QEMU and a node with these disks."""
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
