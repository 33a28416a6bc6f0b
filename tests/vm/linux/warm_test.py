"""Nodes that start from the saved state of another, with fresh disks like its own."""

import json
import os
import tempfile
import time
import unittest
from contextlib import ExitStack
from pathlib import Path

from guest import GuestError, Node, clone, disk
from warm_node import WarmNode

KERNEL, STATE, ABOUT = (os.environ[name] for name in ("KERNEL", "STATE", "ABOUT"))


def warm_node(name):
    return WarmNode(name, KERNEL, [clone("WARM", name)], STATE, ABOUT)


def cold_node(name):
    return Node(name, KERNEL, [clone("COLD", name)])


class WarmTest(unittest.TestCase):
    def test_resumes(self):
        """Files, memory and processes are still there; the node works and powers off."""
        with warm_node("resumed") as node:
            node.wait_ready()
            self.assertEqual(node.output("cat /root/saved"), "before\n")
            node.output("kill -0 $(cat /run/service.pid)")
            # Otherwise all nodes from this state would draw the same random numbers.
            self.assertIn("reseeded due to virtual machine fork", node.output("dmesg"))
            # This is read from the disk, because the caches were dropped.
            node.output("cat /usr/lib/jvm/*/lib/modules | sha256sum")
            node.output("mount -o remount,ro / && e2fsck -fn /dev/disk1p1")
            node.power_off()

    def test_loses_power(self):
        """What was synced is still there when the node boots again from the disk."""
        lost = clone("WARM", "lost")
        with WarmNode("lost", KERNEL, [lost], STATE, ABOUT) as node:
            node.wait_ready()
            node.output("echo after > /root/written && sync")
            node.output("(while :; do date; done) > /root/log &")
            node.kill()
        with Node("cold", KERNEL, [lost]) as node:
            node.wait_ready()
            self.assertEqual(node.output("cat /root/saved /root/written"), "before\nafter\n")
            self.assertEqual(node.run("test -e /run/service.pid"), (1, ""))
            self.assertIn("recovery complete", node.output("dmesg | grep EXT4-fs"))
            node.output("mount -o remount,ro / && e2fsck -fn /dev/disk1p1")
            node.power_off()

    def test_three_nodes(self):
        """Three start side by side, each with its own disk. Prints their time and that of a boot."""
        seconds = {}
        for start in (cold_node, warm_node):
            with ExitStack() as stack:
                begin = time.monotonic()
                nodes = [stack.enter_context(start(f"{start.__name__}{number}")) for number in (1, 2, 3)]
                for node in nodes:
                    node.wait_ready()
                seconds[start] = time.monotonic() - begin
                for node in nodes:
                    node.output(f"echo {node.name} > /root/name && sync")
                names = [node.output("cat /root/name") for node in nodes]
                self.assertEqual(names, [node.name + "\n" for node in nodes])
                for node in nodes:
                    node.power_off()
        print(f"three nodes: {seconds[cold_node]:.1f} s to boot, {seconds[warm_node]:.1f} s from the state")

    def test_mismatch(self):
        """A state that does not fit the node is refused with one line, before QEMU starts."""
        saved = json.loads(Path(ABOUT).read_text())
        for name, value in saved.items():
            with self.subTest(name), tempfile.NamedTemporaryFile("w") as about:
                json.dump(saved | {name: "another"}, about)
                about.flush()
                with self.assertRaises(GuestError) as caught:
                    WarmNode("other", KERNEL, [disk("WARM")], STATE, about.name)
                here = f"the state was saved with {name} 'another', and here it is {value!r}"
                self.assertEqual(str(caught.exception), f"{about.name}: {here}")
        self.assertEqual(list(saved), ["version", "accel", "machine", "cpu", "m", "device"])
        with self.assertRaisesRegex(GuestError, "saved with device .*disk1'], and here it is .*disk2'"):
            WarmNode("two disks", KERNEL, [disk("WARM"), {}], STATE, ABOUT)

    def test_damaged(self):
        with tempfile.NamedTemporaryFile() as state:
            state.write(Path(STATE).read_bytes()[: 1 << 20])
            state.flush()
            with WarmNode("damaged", KERNEL, [disk("WARM")], state.name, ABOUT) as node:
                with self.assertRaisesRegex(GuestError, "(?s)damaged: QEMU has ended; its console: .*migration"):
                    node.wait_ready()

    def test_state_is_small(self):
        """The state has no holes, which Bazel would hash and store like data, and is small."""
        with open(STATE, "rb") as state:
            size = os.fstat(state.fileno()).st_size
            self.assertEqual(os.lseek(state.fileno(), 0, os.SEEK_HOLE), size)
        print(f"the state: {size:,} bytes")
        self.assertLess(size, 80_000_000, "it contains free memory")


if __name__ == "__main__":
    unittest.main()
