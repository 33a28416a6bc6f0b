"""Nodes that boot through firmware: what the firmware, the TPM and the network keep and carry."""

import os
import socket
import time
import unittest
from contextlib import ExitStack

from guest import disk
from uefi_node import MOUNT_VARIABLES, VARIABLE, UefiNode, variables

FIRMWARE = os.environ["FIRMWARE"]

# TPM2_ReadClock: the TPM counts its resets and its restarts, and keeps the numbers in its state.
COUNT_STARTS = (
    'python3 -c \'tpm = open("/dev/tpm0", "r+b", 0); tpm.write(bytes.fromhex("80010000000a00000181")); '
    "answer = tpm.read(100); print(int.from_bytes(answer[26:30]) + int.from_bytes(answer[30:34]))'"
)

# A node has an address by its hardware address as soon as its interface is up.
NETWORK_UP = "echo 0x1003 > /sys/class/net/eth0/flags"
SERVE = "{ python3 -m http.server --directory /data --bind :: 80 & }"
FETCH = (
    "python3 -c 'import urllib.request; "
    'print(urllib.request.urlopen("http://[fe80::5054:ff:fe00:1%eth0]/hostname").read().decode(), end="")\''
)


class UefiTest(unittest.TestCase):
    def setUp(self):
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)

    def start(self, number, second="SEED", **devices):
        name = f"NODE{number}"
        disks = [disk(name), disk(f"{second}{number}")]
        return self.stack.enter_context(UefiNode(name.lower(), FIRMWARE, variables(name), disks, **devices))

    def test_nodes(self):
        ends = socket.socketpair()
        tpm_state = os.environ["NODE1_TPM"]
        one = self.start(1, network=ends[0], tpm_state=tpm_state)
        two = self.start(2, network=ends[1])
        for node in (one, two):
            node.wait_ready()
            node.output("mount -o ro LABEL=SEED /data")
            self.assertEqual(node.output("cat /data/hostname"), node.name + "\n")
            node.output(NETWORK_UP)

        # The second node reads what the first one serves.
        one.output(SERVE)
        two.output(f"until {FETCH}; do sleep 1; done 2> /dev/null")
        self.assertEqual(two.output(FETCH), "node1\n")

        # Fresh variables: those of another run are not there.
        one.output(MOUNT_VARIABLES)
        self.assertEqual(one.run(f"test -e {VARIABLE}")[0], 1)
        # The attributes (non-volatile, for boot services and at run time), and the value.
        one.output(f"printf '\\7\\0\\0\\0kept' > {VARIABLE}")
        starts = int(one.output(COUNT_STARTS))
        one.kill()

        # After a power cut, what the firmware and the TPM have stored is there.
        one = self.start(1, tpm_state=tpm_state)
        one.wait_ready()
        one.output(MOUNT_VARIABLES)
        self.assertEqual(one.output(f"tail -c 4 {VARIABLE}"), "kept")
        self.assertEqual(int(one.output(COUNT_STARTS)), starts + 1)
        one.power_off()
        two.power_off()

    def test_goes_back_to_a_snapshot(self):
        """A running guest goes back to a mark, without a boot. Prints how long that takes."""
        seconds = {}
        begin = time.monotonic()
        node = self.start(3, second="DATA")
        node.wait_ready()
        seconds["boot"] = time.monotonic() - begin

        # The disks and the variables are those of the installed node.
        node.output(f"mount /dev/disk2 /data && {MOUNT_VARIABLES}")
        self.assertEqual(node.output("cat /root/file /data/file"), "installed\ndata\n")
        self.assertEqual(node.output(f"tail -c 9 {VARIABLE}"), "installed")

        node.output("mount -o remount,rw / && echo before > /root/file && sync; echo before > /run/file")
        for job in ("snapshot-save", "snapshot-load"):
            begin = time.monotonic()
            snapshot(node, job)
            seconds[job] = time.monotonic() - begin
            if job == "snapshot-save":
                node.output("echo after | tee /root/file /run/file; sync")
        self.assertEqual(node.output("cat /root/file /run/file"), "before\nbefore\n")
        print(", ".join(f"{what}: {time:.1f} s" for what, time in seconds.items()))
        node.power_off()


def snapshot(node, job):
    """Saves the node and its disks as a snapshot in these disks, or loads that snapshot."""
    disks = ["disk1", "disk2"]
    node.qmp(job, **{"job-id": job, "tag": "mark", "vmstate": "disk1", "devices": disks})
    while (state := job_of(node, job))["status"] != "concluded":
        time.sleep(0.02)
    if "error" in state:
        raise AssertionError(f"{job}: {state['error']}")
    node.qmp("job-dismiss", id=job)
    node.qmp("cont")


def job_of(node, name):
    return next(job for job in node.qmp("query-jobs") if job["id"] == name)


if __name__ == "__main__":
    unittest.main()
