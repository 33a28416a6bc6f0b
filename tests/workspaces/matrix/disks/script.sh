#!/usr/bin/env bash
# What the tests do, as the first argument says.
set -euo pipefail

fail() { echo "FAILED: $*" >&2; exit 1; }
# Reads and writes a disk as a guest would.
# shellcheck disable=SC2153  # the test has DISK from the tool
guest() { qemu-io -f qcow2 -c "$1" "$DISK" >&2; }

case $1 in
  # Everything about the environment.
  check)
    [[ $# == 3 && $2 == "two words" && $3 == *image.img ]] || fail "arguments: $*"
    [[ $IMAGE == *image.img && -e $OF_THE_BINARY && $INHERITED == "from outside" ]]
    [[ $TEST_TOTAL_SHARDS == 2 ]] && touch "$TEST_SHARD_STATUS_FILE"
    [[ -e source.img && -e image.img ]] || fail "runfiles: $(ls)"
    [[ -z ${QCOW2_OVERLAY_TEST:-} ]] || fail "the tool's own variable is left"
    for disk in "$DISK" "$OTHER" "$TOP"; do
      [[ $disk == "$TEST_TMPDIR"/* && -w $disk && $(stat -c %h "$disk") == 1 ]] || fail "$disk"
      qemu-img check "$disk"
    done
    [[ $DISK != "$OTHER" ]]
    qemu-img compare -F raw "$DISK" image.img
    # The process is the test's own, started by Bazel.
    [[ $(ps -o comm= "$PPID" 2>/dev/null || cat "/proc/$PPID/comm") != *as_any_test* ]] || fail "a process in between"
    ;;
  # A fresh disk, on which only this run writes.
  private)
    pattern=$((RANDOM % 250 + 1))
    guest 'read -P 0 512k 64k'
    guest "write -P $pattern 512k 64k"
    sleep 0.5
    guest "read -P $pattern 512k 64k"
    ;;
  fail)
    guest 'write -P 9 512k 64k'
    exit 3
    ;;
  hang)
    guest 'write -P 9 512k 64k'
    # A number by which it is found if it is still there.
    sleep 424242
    ;;
  # Everything that a test could do to what it was given.
  touch)
    guest 'write -P 9 0 1M'
    : >"$DISK"
    ;;
esac
