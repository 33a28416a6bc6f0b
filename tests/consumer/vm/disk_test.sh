#!/usr/bin/env bash
# Reads the node image through the overlay, as a VM would.
set -euo pipefail

readonly node=$1 scratch=$2

qemu-img convert -f qcow2 -O raw "$node" "$TEST_TMPDIR/node.img"
start=$(head -c 14 "$TEST_TMPDIR/node.img")
size=$(stat -c %s "$TEST_TMPDIR/node.img")
[[ $start == "the node image" ]] || { echo "read: $start" >&2; exit 1; }
[[ $size == $((20 << 30)) ]] || { echo "size: $size" >&2; exit 1; }

qemu-img check "$scratch"
