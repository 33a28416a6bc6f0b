#!/bin/sh
# A chain of overlays reads as the image at its end; a blank disk is blank.
set -e
qemu-img check "$1"
qemu-img dd -O raw if="$1" of="$TEST_TMPDIR/start" bs=512 count=1
grep 'the node image' "$TEST_TMPDIR/start"

qemu-img check "$2"
qemu-img info "$2" | grep 'virtual size: 10 GiB'
