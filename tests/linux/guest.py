"""Nodes for tests: virtual machines in QEMU that run shell commands.

    with Node("one", kernel, [disk]) as node:
        node.wait_ready()
        node.output("echo hello")  # "hello\\n"
        node.power_off()

A disk is a value for QEMU's option -blockdev. The first is the node's own, with its
root file system, /dev/disk1 inside; the next is /dev/disk2.
"""

import json
import os
import select
import subprocess
import time

# The second line spares an emulated CPU a quarter of its work; none of it is of use here.
KERNEL_ARGUMENTS = (
    "root=PARTLABEL=root rootwait ro init=/usr/sbin/init console=ttyS0 panic=-1 "
    "nokaslr mitigations=off tsc=reliable no_timer_check cryptomgr.notests"
)
READY = b"node ready\n"


class GuestError(Exception):
    """A node did not do what it was told to do; says what its console said last."""


class Node:
    """A virtual machine. It starts at once and ends with the block it is used in."""

    def __init__(self, name, kernel, disks, *qemu_arguments):
        self.name = name
        self._said = b""  # all that came from the console
        self._read = 0  # how much of it was made use of
        # NVMe: Debian's cloud kernel has the driver built in, so that it starts
        # without an initial RAM disk. setpriv: QEMU must not outlive the test,
        # however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"]
        command += ["-accel", "tcg", "-machine", "q35", "-m", "256"]
        command += ["-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"]
        command += ["-serial", "stdio", "-kernel", kernel]
        command += ["-append", f"{KERNEL_ARGUMENTS} disks={len(disks)}"]
        command += ["-device", "nvme,serial=node"]
        for number, disk in enumerate(disks, start=1):
            blockdev = disk | {"node-name": f"disk{number}"}
            command += ["-blockdev", json.dumps(blockdev)]
            command += ["-device", f"nvme-ns,drive=disk{number},nsid={number}"]
        self._qemu = subprocess.Popen(
            [*command, *qemu_arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.pid = self._qemu.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def wait_ready(self, timeout=180):
        self._read_until(READY, timeout)

    def run(self, command, timeout=120):
        """Runs one line of bash; returns its exit status and what it wrote."""
        if "\n" in command:
            raise ValueError(f"more than one line: {command!r}")
        self._send(command)
        output = self._read_until(b"\036", timeout)
        status = self._read_until(b"\n", timeout)
        return int(status), output.decode()

    def output(self, command, timeout=120):
        """What the command writes; it must succeed."""
        status, output = self.run(command, timeout)
        if status != 0:
            raise GuestError(f"{self.name}: {command!r} ended with {status}: {output}")
        return output

    def power_off(self, timeout=120):
        """Lets the node unmount its file systems and switch itself off."""
        self._send("poweroff")
        self._read_until(None, timeout)
        if self._qemu.wait() != 0:
            raise self._error(f"QEMU ended with status {self._qemu.returncode}")
        self.kill()

    def kill(self):
        """Takes the power away, with what was not written yet."""
        self._qemu.kill()
        self._qemu.wait()
        self._qemu.stdin.close()
        self._qemu.stdout.close()

    def _send(self, line):
        self._qemu.stdin.write(line.encode() + b"\n")
        self._qemu.stdin.flush()

    def _read_until(self, marker, timeout):
        """What the node says up to the marker. Without one, waits until QEMU ends."""
        deadline = time.monotonic() + timeout
        console = self._qemu.stdout.fileno()
        while marker is None or marker not in self._said[self._read :]:
            left = max(0, deadline - time.monotonic())
            if not select.select([console], [], [], left)[0]:
                end = "its end" if marker is None else repr(marker.decode().strip())
                raise self._error(f"{end} did not come within {timeout} s")
            said = os.read(console, 65536)
            if not said and marker is None:
                break
            if not said:
                raise self._error("QEMU has ended")
            self._said += said
        if marker is None:
            return
        end = self._said.index(marker, self._read)
        before, self._read = self._said[self._read : end], end + len(marker)
        return before

    def _error(self, problem):
        said = self._said[-4000:].decode(errors="replace")
        return GuestError(f"{self.name}: {problem}; its console: {said}")
