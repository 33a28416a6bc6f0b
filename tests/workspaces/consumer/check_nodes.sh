#!/bin/sh
# $NODE1 and $NODE2 are two fresh disks of 20 GiB on top of node.img.
set -e
qemu-img info "$NODE1"

# What one node writes is on its disk only.
qemu-io -c 'write -P 1 0 64k' "$NODE1"
qemu-io -c 'read -P 1 0 64k' "$NODE1"
qemu-img dd -O raw if="$NODE2" of="$TEST_TMPDIR/start" bs=512 count=1
grep 'the node image' "$TEST_TMPDIR/start"

# A virtual machine has the disk with
#   qemu-system-x86_64 -blockdev "$NODE1_BLOCKDEV" -device virtio-blk,drive=NODE1 ...
