"""Nodes on overlays of an upgraded image, beside one on the image it was made from."""

import json
import os
import subprocess
import unittest
from pathlib import Path

from guest import Node, disk

KERNEL = os.environ["KERNEL"]
V2 = os.environ["V2"]


class UpgradeTest(unittest.TestCase):
    def test_versions_side_by_side(self):
        before = Path(V2).read_bytes()
        with (
            Node("old", KERNEL, [disk("OLD")]) as old,
            Node("new", KERNEL, [disk("NEW")]) as new,
        ):
            for node in (old, new):
                node.wait_ready()
            self.assertEqual(old.output("cat /etc/node-release"), "1\n")
            self.assertEqual(old.run("test -e /usr/bin/greet"), (1, ""))
            self.assertEqual(new.output("cat /etc/node-release"), "2\n")
            self.assertEqual(new.output("greet"), "hello from release 2\n")

            # What one writes over the upgrade is its own.
            new.output("echo changed > /etc/node-release")
            for node in (old, new):
                node.output("mount -o remount,ro / && e2fsck -fn /dev/disk1p1")
                node.power_off()
        self.assertTrue(Path(V2).read_bytes() == before, "the upgraded image was changed")

    def test_image(self):
        """It opens in the runfiles and in the output tree, by the name it stores."""
        for path in (V2, os.path.realpath(V2)):
            said = subprocess.check_output(["qemu-img", "info", "--backing-chain", "--output=json", path])
            image, base = json.loads(said)
            self.assertEqual(image["backing-filename"], "node.img")
            self.assertEqual(image["backing-filename-format"], "raw")
            self.assertEqual(base["filename"], os.path.join(os.path.dirname(path), "node.img"))
            self.assertLess(image["actual-size"], 16 << 20, "more than the change is in it")
            subprocess.run(["qemu-img", "check", "-q", path], check=True)


if __name__ == "__main__":
    unittest.main()
