import os
import subprocess

qemu = "qemu-system-x86_64 -accel tcg -m 512 -display none -serial stdio -no-reboot".split()
disk = ["-blockdev", os.environ["NODE_BLOCKDEV"], "-device", "virtio-blk,drive=NODE"]
with subprocess.Popen(qemu + disk, stdout=subprocess.PIPE) as node:
    assert any(b"is ready" in line for line in node.stdout), "the node did not boot"
    node.kill()
