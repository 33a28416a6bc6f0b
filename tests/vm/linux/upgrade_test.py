"""Nodes on provisioned images: release 2 installed over release 1, release 3 over 2."""

import json
import os
import subprocess
import unittest
from pathlib import Path

from guest import Node, disk

KERNEL = os.environ["KERNEL"]
V2, V3, ALONE = (os.environ[name] for name in ("V2", "V3", "V3_ALONE"))


class UpgradeTest(unittest.TestCase):
    def test_versions_side_by_side(self):
        before = [Path(image).read_bytes() for image in (V2, V3, ALONE)]
        with (
            Node("one", KERNEL, [disk("NODE1")]) as one,
            Node("two", KERNEL, [disk("NODE2")]) as two,
            Node("three", KERNEL, [disk("NODE3")]) as three,
            Node("three alone", KERNEL, [disk("NODE3_ALONE")]) as alone,
        ):
            nodes = {one: "1", two: "2", three: "3", alone: "3"}
            for node, release in nodes.items():
                node.wait_ready()
                self.assertEqual(node.output("cat /etc/node-release"), release + "\n")
            self.assertEqual(one.run("test -e /usr/bin/greet"), (1, ""))
            self.assertEqual(two.output("greet"), "hello from release 2\n")
            for node in (three, alone):
                self.assertEqual(node.output("greet"), "hello from release 3\n")
                # The file that only release 2 installs is still there.
                self.assertEqual(node.output("cat /etc/installed-2 /etc/installed-3"), "2\n3\n")

            # No node sees what another writes over an upgrade.
            two.output("echo changed > /etc/node-release && sync")
            self.assertEqual(three.output("cat /etc/node-release"), "3\n")
            for node in nodes:
                node.output("mount -o remount,ro / && e2fsck -fn /dev/disk1p1")
                node.power_off()
        after = [Path(image).read_bytes() for image in (V2, V3, ALONE)]
        self.assertTrue(after == before, "an image has changed")

    def test_chain(self):
        """The chain opens in the runfiles and in the output tree, by the names stored in it."""
        for path in (V3, os.path.realpath(V3)):
            v3, v2, base = info(path)
            self.assertEqual([v3["backing-filename"], v3["backing-filename-format"]], ["node_v2.qcow2", "qcow2"])
            self.assertEqual([v2["backing-filename"], v2["backing-filename-format"]], ["node.img", "raw"])
            self.assertEqual(base["filename"], os.path.join(os.path.dirname(path), "node.img"))
            for image in (v3, v2):
                self.assertLess(image["actual-size"], 16 << 20, "it holds more than the change")
                subprocess.run(["qemu-img", "check", "-q", image["filename"]], check=True)

    def test_alone(self):
        """The merged image has the content of the chain, and no backing file."""
        self.assertEqual(len(info(ALONE)), 1)
        subprocess.run(["qemu-img", "compare", "-q", ALONE, V3], check=True)


def info(path):
    return json.loads(subprocess.check_output(["qemu-img", "info", "--backing-chain", "--output=json", path]))


if __name__ == "__main__":
    unittest.main()
