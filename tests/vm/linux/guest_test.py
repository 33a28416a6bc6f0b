"""A node behaves as guest.py documents, and ends with its test."""

import os
import select
import signal
import time
import unittest

from guest import GuestError, Node, disk

KERNEL = os.environ["KERNEL"]


class GuestTest(unittest.TestCase):
    def test_commands(self):
        with Node("commands", KERNEL, [disk("NODE")]) as node:
            node.wait_ready()
            self.assertEqual(node.output("cat /etc/node-release"), "1\n")
            self.assertEqual(node.run("printf 'no newline'; exit 3"), (3, "no newline"))
            self.assertEqual(node.run("cat; ls /nowhere 2>/dev/null"), (2, ""))
            self.assertEqual(node.output("seq 10000").split()[-1], "10000")
            with self.assertRaisesRegex(GuestError, "'echo said; false' ended with 1: said"):
                node.output("echo said; false")
            # A command is one line.
            with self.assertRaisesRegex(ValueError, "more than one line"):
                node.output("true\ntrue")
            node.power_off()

    def test_timeout(self):
        with Node("timeout", KERNEL, []) as node:
            with self.assertRaisesRegex(GuestError, "timed out after 0.1 s waiting for 'node ready'"):
                node.wait_ready(timeout=0.1)

    def test_broken(self):
        with Node("broken", KERNEL, [{"driver": "no such"}]) as node:
            with self.assertRaisesRegex(GuestError, "(?s)QEMU has ended.*no such"):
                node.wait_ready()

    def test_no_qemu_is_left_behind(self):
        reader, writer = os.pipe()
        test = os.fork()
        if test == 0:
            os.write(writer, str(Node("orphan", KERNEL, []).pid).encode())
            time.sleep(600)
        qemu = os.pidfd_open(int(os.read(reader, 20)))
        self.assertEqual(select.select([qemu], [], [], 1)[0], [], "QEMU is not running")
        os.kill(test, signal.SIGKILL)
        os.waitpid(test, 0)
        self.assertEqual(select.select([qemu], [], [], 30)[0], [qemu], "QEMU is still running")


if __name__ == "__main__":
    unittest.main()
