#!/usr/bin/env bash
# A tool for qcow2_provision that, unlike a guest, writes the same bytes each time:
#
#   install.sh OFFSET PATTERN [RELEASE LOG]
#
# Fills 64 KiB of the disk with a byte, twice: the last write counts. RELEASE is a file that it
# reads, $OLD an image whose chain it opens, and LOG a file that it writes.
set -euo pipefail

readonly offset=$1 pattern=$2 release=${3:-} log=${4:-}

# This opens the disk and its chain.
qemu-io -c "write -P 0xff $offset 64K" -c "write -P $pattern $offset 64K" "json:$DISK_BLOCKDEV"
if [[ -n $release ]]; then
  cat "$release" >"$log"
  qemu-img info --backing-chain "$OLD" | grep -c '^image:' >>"$log"
fi
