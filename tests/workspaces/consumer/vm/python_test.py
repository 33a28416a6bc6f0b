"""Disks of another repository and of another configuration, opened from Python."""

import json
import os
import subprocess
import unittest

from python.runfiles import runfiles

RUNFILES = runfiles.Create()


def disk(path):
    """Returns the path of an image in the runfiles."""
    return RUNFILES.Rlocation(path)


def info(path):
    command = ["qemu-img", "info", "--output=json", "--backing-chain", path]
    return json.loads(subprocess.check_output(command))


def start(path, length):
    """Returns the first bytes that a guest would read."""
    out = os.path.join(os.environ["TEST_TMPDIR"], "start")
    command = ["qemu-img", "dd", "-O", "raw", "if=" + path, "of=" + out, "bs=512", "count=1"]
    subprocess.run(command, check=True)
    with open(out, "rb") as file:
        return file.read(length)


class DisksTest(unittest.TestCase):
    def test_disk_of_another_repository(self):
        installed = disk("consumer/vm/installed.qcow2")
        chain = info(installed)
        self.assertEqual([image["format"] for image in chain], ["qcow2", "qcow2", "raw"])
        self.assertEqual(chain[0]["virtual-size"], 1 << 30)
        self.assertEqual(start(installed, 12), b"An installer")

    def test_disk_of_another_configuration(self):
        database = disk("consumer/vm/debug_database.qcow2")
        self.assertEqual(start(database, 16), b"a debug database")


if __name__ == "__main__":
    unittest.main()
