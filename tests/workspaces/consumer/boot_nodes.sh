#!/bin/sh
# NODE1 and NODE2 are fresh disks of 20 GiB, each with the content of node.img.
set -eu

# Boots the node $1 from its disk, $2, and prints what it writes to its serial port.
boot() {
  qemu-system-x86_64 -accel tcg -m 64 -nic none -display none -monitor none -no-reboot \
    -serial stdio -blockdev "$2" -device "virtio-blk,drive=$1"
}

boot NODE1 "$NODE1_BLOCKDEV" | grep 'boot 1'
boot NODE1 "$NODE1_BLOCKDEV" | grep 'boot 2'
# What NODE1 wrote is on its own disk only.
boot NODE2 "$NODE2_BLOCKDEV" | grep 'boot 1'
