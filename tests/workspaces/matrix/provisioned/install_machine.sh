#!/usr/bin/env bash
# Writes to three disks, to a file and to a directory.
set -euo pipefail

for disk in "$DISK_BLOCKDEV" "$DATA_BLOCKDEV" "$MORE_BLOCKDEV"; do
  qemu-io -c "write -P 0x22 512K 64K" "json:$disk"
done
echo changed >>"$VARS"
echo new >"$STATE/new"
