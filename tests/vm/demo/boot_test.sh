#!/usr/bin/env bash
# Boots the same writable disk twice: the guest sees the base through the overlay, its
# writes persist, and neither the base nor the build output changes.
set -euo pipefail

readonly boot=$1 tool=$2 overlay=$3 base=$4
readonly disk=$TEST_TMPDIR/disk.qcow2

fail() { echo "FAILED: $*" >&2; exit 1; }

before=$(sha256sum "$overlay" "$base")
"$tool" clone "$overlay" "$disk"

for count in 1 2; do
  output=$("$boot" "$disk" | tr -d '\r')
  expected="marker: rules_qcow2 demo node
counter: $count
sectors: 00200000"
  [[ $output == "$expected" ]] || fail "boot $count printed: $output"
done

qemu-img check "$disk"
after=$(sha256sum "$overlay" "$base")
[[ $after == "$before" ]] || fail "changed: $after; before: $before"
echo "booted twice, base and build output unchanged"
