#!/usr/bin/env bash
# Checks fresh disks and copies of a machine that machine.sh has written.
set -euo pipefail

fail() { echo "FAILED: $*" >&2; exit 1; }

qemu-io -r -c "read -P 0x55 64K 64K" -c "read -P 0x62 0 64K" "json:$DB_BLOCKDEV" >"$TEST_TMPDIR/log"
# Writable, and on the blank disk.
qemu-io -c "read -P 0x66 64K 64K" -c "read -P 0 0 64K" -c "write 0 64K" "json:$DATA_BLOCKDEV" >>"$TEST_TMPDIR/log"
if grep -i "fail\|error" "$TEST_TMPDIR/log"; then fail "a disk does not hold what the tool wrote"; fi
diff "$VARS" - <<<$'release 2\nand what the firmware wrote' || fail "the variables differ"
diff "$TPM/state/nv" - <<<key || fail "the state of the TPM differs"
: >"$TPM/state/more"
