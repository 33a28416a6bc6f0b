"""A node does what guest.py says, and ends with its test."""

import os
import subprocess
import sys
import unittest

from guest import GuestError, Node

KERNEL = os.environ["KERNEL"]
# Written by the QEMU that has it open into a temporary file of its own.
DISK = {
    "driver": "raw",
    "read-only": True,
    "file": {"driver": "file", "filename": os.environ["NODE_IMAGE"]},
}
