#!/usr/bin/env bash
# Checks fresh disks that are backed by a derived image, and the LOG of its tool:
#
#   check.sh LOG
set -euo pipefail

fail() { echo "FAILED: $*" >&2; exit 1; }

# The content of a file in srcs, and the length of the chain of an image there.
diff "$1" - <<<$'release 2\n2' || fail "the log differs"
for disk in "$FRESH_BLOCKDEV" "$OVERLAY_BLOCKDEV"; do
  qemu-io -c "read -P 0x33 1M 64K" -c "read -P 0x22 7M 64K" -c "write -P 0x44 1M 64K" -c "read -P 0x44 1M 64K" \
    "json:$disk" >"$TEST_TMPDIR/log"
  if grep -i "fail\|error" "$TEST_TMPDIR/log"; then fail "the disk does not hold the release"; fi
done
