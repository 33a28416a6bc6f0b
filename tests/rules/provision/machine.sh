#!/usr/bin/env bash
# A tool for qcow2_provision that writes to both disks and both copies of a machine.
set -euo pipefail

qemu-io -c "write -P 0x55 64K 64K" "json:$DISK_BLOCKDEV"
qemu-io -c "write -P 0x66 64K 64K" "json:$DATA_BLOCKDEV"
printf 'and what the firmware wrote\n' >>"$VARS"
mkdir "$TPM/state"
printf 'key\n' >"$TPM/state/nv"
