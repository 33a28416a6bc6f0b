#!/usr/bin/env bash
# Writes to the disk, and the output of qemu-io to the file LOG: install.sh LOG
set -euo pipefail

qemu-io -c "write -P 0x11 512K 64K" "json:$DISK_BLOCKDEV" | grep wrote >"$1"
