#!/bin/sh
set -e
qemu-img info "$1" # 20 GiB, on top of node.img
qemu-img dd -O raw if="$1" of="$TEST_TMPDIR/start" bs=512 count=1
grep 'the node image' "$TEST_TMPDIR/start"
