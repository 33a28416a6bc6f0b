"""Nodes for tests: virtual machines in QEMU that run shell commands.

    with Node("one", kernel, [disk("NODE1")]) as node:
        node.wait_ready()
        node.output("echo hello")  # "hello\\n"
        node.power_off()

A disk is a value for QEMU's option -blockdev. The first disk has the root file system. In the
node it is /dev/disk1; the next one is /dev/disk2.
"""

import json
import os
import select
import socket
import subprocess
import time

QEMU = "qemu-system-x86_64"

# The second line turns off what is not needed here, and saves an emulated CPU a quarter of its
# work. The third is for saved states (warm_node.py), and adds 4 % to the work of a boot.
KERNEL_ARGUMENTS = (
    "root=PARTLABEL=root rootwait ro init=/usr/sbin/init console=ttyS0 panic=-1 "
    "nokaslr mitigations=off tsc=reliable no_timer_check cryptomgr.notests "
    "init_on_free=1"
)
READY = b"node ready\n"


def machine(disks):
    """The hardware of a node with these disks: QEMU's options and their values.

    A saved state depends on all of it. Therefore nothing is left to QEMU's defaults, which
    change from version to version, or to the host, as with the CPU models `max` and `host`.
    """
    return {
        "accel": "tcg",
        "machine": "pc-q35-10.0",
        "cpu": "qemu64-v1",
        "m": "256M",
        # The kernel reseeds its random number generator when this ID changes, as it does in
        # a node that starts from a saved state. Otherwise all nodes from one state would draw
        # the same numbers.
        "device": ["vmgenid,guid=auto"]
        # NVMe: Debian's cloud kernel has the driver built in, so that it boots without an
        # initial RAM disk. Each disk has its own controller: QEMU cannot save the state of
        # one with several disks, or of nvme-ns.
        + [f"nvme,drive=disk{number},serial=disk{number}" for number in range(1, len(disks) + 1)],
    }


def disk(name):
    """The private writable disk of this name that `qcow2_test` or `qcow2_provision` has made."""
    return json.loads(os.environ[name + "_BLOCKDEV"])


def clone(name, case):
    """A disk like `disk(name)`, for one case of a test."""
    path = f"{os.environ['TEST_TMPDIR']}/{case}.qcow2"
    tool = os.environ["QCOW2_OVERLAY"]
    subprocess.run([tool, "clone", os.environ[name], path], check=True)
    command = [tool, "blockdev", "--node-name", case, path]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def blockdevs(disks):
    """QEMU's options for these disks, with the node names disk1, disk2 and so on."""
    values = [json.dumps(value | {"node-name": f"disk{number}"}) for number, value in enumerate(disks, start=1)]
    return [argument for value in values for argument in ("-blockdev", value)]


class GuestError(Exception):
    """A node failed to do what it was told. The message ends with its last console output."""


class Guest:
    """A virtual machine with init.sh. It starts at once, and ends with its `with` block."""

    def __init__(self, name, *qemu_arguments, pass_fds=()):
        self.name = name
        self._console = b""  # all output of the console
        self._read = 0  # how much of it has been returned
        monitor, of_qemu = socket.socketpair()
        self._monitor = monitor.makefile("rw")
        monitor.close()
        self._monitor.write('{"execute": "qmp_capabilities"}\n')
        self._monitor.flush()
        # setpriv: QEMU must not outlive the test, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", QEMU]
        command += ["-nodefaults", "-display", "none", "-no-reboot"]
        command += ["-chardev", f"socket,id=monitor,fd={of_qemu.fileno()}"]
        command += ["-mon", "chardev=monitor,mode=control"]
        command += ["-serial", "stdio"]
        self._qemu = subprocess.Popen(
            [*command, *qemu_arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[of_qemu.fileno(), *pass_fds],
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
        """Runs one line of bash; returns its exit status and its output.

        Do not use the node after a timeout: the line is still running.
        """
        if "\n" in command:
            raise ValueError(f"more than one line: {command!r}")
        self._send(command)
        output = self._read_until(b"\036", timeout)
        status = self._read_until(b"\n", timeout)
        return int(status), output.decode()

    def output(self, command, timeout=120):
        """Runs a command that must succeed, and returns its output."""
        status, output = self.run(command, timeout)
        if status != 0:
            raise GuestError(f"{self.name}: {command!r} ended with {status}: {output}")
        return output

    def qmp(self, command, **arguments):
        """Sends a QMP command to QEMU and returns the answer."""
        line = json.dumps({"execute": command, "arguments": arguments, "id": command})
        try:
            self._monitor.write(line + "\n")
            self._monitor.flush()
            # QEMU also sends events, which have no ID.
            answer = next(message for message in map(json.loads, self._monitor) if message.get("id") == command)
        except (OSError, StopIteration):
            self._read_until(None, timeout=10)
            raise self._error("QEMU has ended") from None
        if "error" in answer:
            raise self._error(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def power_off(self, timeout=120):
        """Has the node unmount its file systems and power itself off."""
        self._send("poweroff")
        self._read_until(None, timeout)
        if self._qemu.wait() != 0:
            raise self._error(f"QEMU ended with status {self._qemu.returncode}")
        self.kill()

    def kill(self):
        """Cuts the power: data that was not written yet is lost."""
        self._qemu.kill()
        self._qemu.wait()
        for end in (self._qemu.stdin, self._qemu.stdout, self._monitor):
            end.close()

    def _send(self, line):
        self._qemu.stdin.write(line.encode() + b"\n")
        self._qemu.stdin.flush()

    def _read_until(self, marker, timeout):
        """Returns the console output up to the marker. With None, waits until QEMU ends."""
        deadline = time.monotonic() + timeout
        stdout = self._qemu.stdout.fileno()
        while marker is None or marker not in self._console[self._read :]:
            left = max(0, deadline - time.monotonic())
            if not select.select([stdout], [], [], left)[0]:
                event = "the end of QEMU" if marker is None else repr(marker.decode().strip())
                raise self._error(f"timed out after {timeout} s waiting for {event}")
            output = os.read(stdout, 65536)
            if not output and marker is None:
                break
            if not output:
                raise self._error("QEMU has ended")
            self._console += output
        if marker is None:
            return
        end = self._console.index(marker, self._read)
        before, self._read = self._console[self._read : end], end + len(marker)
        return before

    def _error(self, problem):
        output = self._console[-4000:].decode(errors="replace")
        return GuestError(f"{self.name}: {problem}; its console: {output}")


class Node(Guest):
    """A guest with the hardware of `machine`. QEMU loads its kernel."""

    def __init__(self, name, kernel, disks, *qemu_arguments):
        arguments = ["-nic", "none", "-kernel", kernel]
        arguments += ["-append", f"{KERNEL_ARGUMENTS} disks={len(disks)}"]
        arguments += blockdevs(disks)
        for option, values in machine(disks).items():
            for value in [values] if isinstance(values, str) else values:
                arguments += [f"-{option}", value]
        super().__init__(name, *arguments, *qemu_arguments)
