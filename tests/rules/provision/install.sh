#!/usr/bin/env bash
# A tool of qcow2_provision that writes the same each time, as no guest does:
#
#   install.sh OFFSET PATTERN [RELEASE LOG]
#
# Fills 64 KiB of the disk with a byte, after another one and with a detour. RELEASE is a file
# that it reads, and $OLD an image with its chain; LOG is one that it writes.
set -euo pipefail

readonly offset=$1 pattern=$2 release=${3:-} log=${4:-}

# With the chain that QEMU is to open.
qemu-io -c "write -P 0xff $offset 64K" -c "write -P $pattern $offset 64K" "json:$DISK_BLOCKDEV"
if [[ -n $release ]]; then
  cat "$release" >"$log"
  qemu-img info --backing-chain "$OLD" | grep -c '^image:' >>"$log"
fi
