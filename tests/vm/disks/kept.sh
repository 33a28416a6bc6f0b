#!/usr/bin/env bash
set -euo pipefail
readonly boot=$1
export TEST_UNDECLARED_OUTPUTS_DIR=$TEST_TMPDIR/outputs
mkdir "$TEST_UNDECLARED_OUTPUTS_DIR"

# A guest writes to a disk, which is kept as one image.
# shellcheck disable=SC2016  # the name of the disk is known inside
"$QCOW2_OVERLAY" exec --keep always --keep-as image --disk "NODE=$NODE" -- \
  sh -c '"$0" "$NODE_BLOCKDEV" NODE </dev/null | grep "^counter: 1"' "$boot"

# It boots without the images that it was made from.
readonly kept=$TEST_TMPDIR/kept.qcow2
mv "$TEST_UNDECLARED_OUTPUTS_DIR/disks/NODE.qcow2" "$kept"
info=$("$QCOW2_OVERLAY" info "$kept")
grep 'compression type: zstd' <<<"$info"
if grep 'backing file' <<<"$info"; then exit 1; fi
"$boot" "$kept" </dev/null | grep '^counter: 2'
qemu-img check "$kept"
