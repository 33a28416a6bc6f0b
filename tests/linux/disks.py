"""The disks of a test."""

import json
import os
import subprocess


def disk(name):
    """The private, writable disk of this name, as a value for QEMU's -blockdev.

    Without a test rule that has made it, it is cloned here from <name>_OVERLAY.
    """
    if blockdev := os.environ.get(name + "_BLOCKDEV"):
        return json.loads(blockdev)
    path = os.path.join(os.environ["TEST_TMPDIR"], name + ".qcow2")
    tool, overlay = os.environ["QCOW2_OVERLAY"], os.environ[name + "_OVERLAY"]
    subprocess.run([tool, "clone", overlay, path], check=True)
    return {"driver": "qcow2", "file": {"driver": "file", "filename": path}}
