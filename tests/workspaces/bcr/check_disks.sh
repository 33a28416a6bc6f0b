#!/bin/sh
# Each disk is a writable qcow2 image, and its blockdev names it.
set -eu

check_disk() {
  echo "$1: $2"
  test -w "$2"
  test "$(head -c 4 "$2" | od -An -tx1 | tr -d ' \n')" = 514649fb
  case $3 in
    *"\"filename\":\"$2\""*"\"node-name\":\"$1\""*) ;;
    *) echo "$1_BLOCKDEV does not name the disk: $3"; exit 1 ;;
  esac
}

check_disk NODE1 "$NODE1" "$NODE1_BLOCKDEV"
check_disk NODE2 "$NODE2" "$NODE2_BLOCKDEV"
check_disk SCRATCH "$SCRATCH" "$SCRATCH_BLOCKDEV"
test "$NODE1" != "$NODE2"
