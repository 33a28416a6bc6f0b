#!/usr/bin/env bash
# A test with fresh disks on a derived image, which has written a log:
#
#   check.sh LOG
set -euo pipefail

fail() { echo "FAILED: $*" >&2; exit 1; }

# The release, and that the tool found the chain of an image in its srcs.
diff "$1" - <<<$'release 2\n2' || fail "another log"
for disk in "$FRESH_BLOCKDEV" "$OVERLAY_BLOCKDEV"; do
  qemu-io -c "read -P 0x33 1M 64K" -c "read -P 0x22 7M 64K" -c "write -P 0x44 1M 64K" -c "read -P 0x44 1M 64K" \
    "json:$disk" >"$TEST_TMPDIR/log"
  if grep -i "fail\|error" "$TEST_TMPDIR/log"; then fail "not the content of the release"; fi
done
