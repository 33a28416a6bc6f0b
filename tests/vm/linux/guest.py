"""Nodes for tests: virtual machines in QEMU that run shell commands.

    with Node("one", kernel, [disk("NODE1")]) as node:
        node.wait_ready()
        node.output("echo hello")  # "hello\\n"
        node.power_off()

A disk is a value for QEMU's option -blockdev. The first is the node's own, with its
root file system, /dev/disk1 inside; the next is /dev/disk2.
"""

import json
import os
import select
import socket
import subprocess
import time

QEMU = "qemu-system-x86_64"

# The second line spares an emulated CPU a quarter of its work; none of it is of use here.
# The third is for saved states (warm_node.py), and costs a boot 4 % of its work.
KERNEL_ARGUMENTS = (
    "root=PARTLABEL=root rootwait ro init=/usr/sbin/init console=ttyS0 panic=-1 "
    "nokaslr mitigations=off tsc=reliable no_timer_check cryptomgr.notests "
    "init_on_free=1"
)
READY = b"node ready\n"


def machine(disks):
    """What a node with these disks is made of, by the names of QEMU's options.

    Nothing is left to QEMU's defaults, which change from version to version, or to the
    machine it runs on, as the CPUs `max` and `host` would: a saved state depends on all of it.
    """
    return {
        "accel": "tcg",
        "machine": "pc-q35-10.0",
        "cpu": "qemu64-v1",
        "m": "256M",
        # The kernel draws new random numbers when this changes, which it does in a node
        # that starts from a saved state: nodes from one state do not draw the same.
        "device": ["vmgenid,guid=auto"]
        # NVMe: Debian's cloud kernel has the driver built in, so that it starts without
        # an initial RAM disk. Each disk has a controller: with more than one on it,
        # or with nvme-ns, no state can be saved.
        + [f"nvme,drive=disk{number},serial=disk{number}" for number in range(1, len(disks) + 1)],
    }


def disk(name):
    """The disk of this name that `qcow2_test` has made: private, fresh, writable."""
    return json.loads(os.environ[name + "_BLOCKDEV"])


class GuestError(Exception):
    """A node did not do what it was told to do; says what its console said last."""


class Node:
    """A virtual machine. It starts at once and ends with the block it is used in."""

    def __init__(self, name, kernel, disks, *qemu_arguments):
        self.name = name
        self._said = b""  # all that came from the console
        self._read = 0  # how much of it was made use of
        monitor, of_qemu = socket.socketpair()
        self._monitor = monitor.makefile("rw")
        monitor.close()
        self._monitor.write('{"execute": "qmp_capabilities"}\n')
        self._monitor.flush()
        # setpriv: QEMU must not outlive the test, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", QEMU]
        command += ["-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"]
        command += ["-chardev", f"socket,id=monitor,fd={of_qemu.fileno()}"]
        command += ["-mon", "chardev=monitor,mode=control"]
        command += ["-serial", "stdio", "-kernel", kernel]
        command += ["-append", f"{KERNEL_ARGUMENTS} disks={len(disks)}"]
        for number, value in enumerate(disks, start=1):
            command += ["-blockdev", json.dumps(value | {"node-name": f"disk{number}"})]
        for option, values in machine(disks).items():
            for value in [values] if isinstance(values, str) else values:
                command += [f"-{option}", value]
        self._qemu = subprocess.Popen(
            [*command, *qemu_arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[of_qemu.fileno()],
        )
        self.pid = self._qemu.pid
        of_qemu.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def wait_ready(self, timeout=180):
        self._read_until(READY, timeout)

    def run(self, command, timeout=120):
        """Runs one line of bash; returns its exit status and what it wrote.

        After a timeout the node is of no more use: the line still runs.
        """
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

    def tell_qemu(self, command, **arguments):
        """Has QEMU, not the node, run a command of its own; returns what it answers."""
        line = json.dumps({"execute": command, "arguments": arguments, "id": command})
        try:
            self._monitor.write(line + "\n")
            self._monitor.flush()
            # Between the answers it also tells what happens.
            answer = next(said for said in map(json.loads, self._monitor) if said.get("id") == command)
        except (OSError, StopIteration):
            self._read_until(None, timeout=10)
            raise self._error("QEMU has ended") from None
        if "error" in answer:
            raise self._error(f"{command}: {answer['error']['desc']}")
        return answer["return"]

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
        for end in (self._qemu.stdin, self._qemu.stdout, self._monitor):
            end.close()

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
