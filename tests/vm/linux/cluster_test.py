"""A cluster of three nodes on overlays of one image, each with a data disk."""

import hashlib
import json
import os
import subprocess
import unittest
from contextlib import ExitStack

from guest import Node, disk

KERNEL = os.environ["KERNEL"]
IMAGE = os.environ["NODE_IMAGE"]


class ClusterTest(unittest.TestCase):
    def setUp(self):
        self.before = sha256(IMAGE)
        self.disks = {n: [disk(f"NODE{n}"), disk(f"DATA{n}")] for n in (1, 2, 3)}
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)

    def start(self, *numbers):
        """Starts nodes, which boot at the same time, and waits until all are ready."""
        started = [Node(f"node{n}", KERNEL, self.disks[n]) for n in numbers]
        for node in started:
            self.stack.enter_context(node)
        for node in started:
            node.wait_ready()
        return started

    def test_cluster(self):
        nodes = self.start(1, 2, 3)
        for node in nodes:
            node.output("mkfs.ext4 -q /dev/disk2 && mount /dev/disk2 /data")
            write(node, "/root", "/data")

        self.loses_power(nodes[0])
        self.grows(nodes[2])

        # The other nodes are unaffected, and no node sees what another wrote.
        for node in nodes[1:]:
            check(self, node, "/root", "/data")
            node.power_off()
        for number in self.disks:
            check_image(os.environ[f"NODE{number}"])
            check_image(os.environ[f"DATA{number}"])
        self.assertEqual(sha256(IMAGE), self.before, "the image of the nodes has changed")

    def loses_power(self, node):
        """A node that loses power while it writes comes back with everything that was synced."""
        node.output("(while :; do date; done) > /data/log &")
        node.kill()

        (node,) = self.start(1)
        self.assertIn("recovery complete", node.output("dmesg | grep EXT4-fs"))
        node.output("mount /dev/disk2 /data")
        check(self, node, "/root", "/data")
        node.output("umount /data && e2fsck -fn /dev/disk2")
        node.output("mount -o remount,ro / && e2fsck -fn /dev/disk1p1")
        node.power_off()

    def grows(self, node):
        """The disk is larger than its image: the running node grows its file system."""
        size = "findmnt --bytes --noheadings --output SIZE /"
        before = int(node.output(size))
        node.output("echo ', +' | sfdisk --quiet --no-reread --force --partno 1 /dev/disk1")
        node.output("partx --update /dev/disk1 && resize2fs /dev/disk1p1")
        self.assertGreater(int(node.output(size)), before + 900_000_000)


def write(node, *directories):
    """Writes a file with the name of the node to each directory, and syncs."""
    for directory in directories:
        node.output(f"for i in {{1..8}}; do echo {node.name} $i; done > {directory}/file")
    node.output("sync")


def check(test, node, *directories):
    """Checks the files that `write` has written."""
    expected = "".join(f"{node.name} {i}\n" for i in range(1, 9))
    for directory in directories:
        test.assertEqual(node.output(f"cat {directory}/file"), expected)


def check_image(path):
    """Checks an image for errors. Clusters that a power cut has leaked are not errors."""
    result = subprocess.run(["qemu-img", "check", "--output=json", path], capture_output=True)
    report = json.loads(result.stdout)
    if report.get("corruptions") or report["check-errors"]:
        raise AssertionError(f"{path}: {report}")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    unittest.main()
