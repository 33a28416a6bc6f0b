#!/usr/bin/env bash
# The tests of this package; the first argument says which.
set -euo pipefail

fail() { echo "FAILED: $*" >&2; exit 1; }
# Reads and writes a disk as a guest would.
# shellcheck disable=SC2153  # the tool sets DISK
guest() { qemu-io -f qcow2 -c "$1" "$DISK" >&2; }

# Checks that the copies are fresh, private and writable, and writes to them.
fresh_copies() {
  local path
  for path in "$VARS" "$STATE"; do
    [[ $path == "$TEST_TMPDIR"/* || $path == "$TEST_UNDECLARED_OUTPUTS_DIR"/* ]] || fail "$path"
    [[ -w $path && ! -L $path ]] || fail "$(stat "$path")"
  done
  [[ $(<"$VARS") == vars && $(<"$STATE/v2/key.img") == secret && $(<"$STATE/current") == secret ]] ||
    fail "not fresh: $(head "$VARS" "$STATE"/{v2/key.img,current})"
  path=$(find "$VARS" "$STATE" -lname '/*' -o -type f -links +1)
  [[ -z $path ]] || fail "leads out of the copies: $path"
  for path in "$VARS" "$STATE/v2/key.img" "$STATE/v2/new"; do echo changed >"$path"; done
}

# Makes disks with the tool.
further_disks() {
  local case=$TEST_TMPDIR/case.qcow2 after=$TEST_TMPDIR/after.qcow2
  [[ $QCOW2_OVERLAY == /* && ! -L $QCOW2_OVERLAY ]] || fail "$QCOW2_OVERLAY"
  "$QCOW2_OVERLAY" clone --force "$DISK" "$case"
  qemu-io -f qcow2 -c 'read -P 0 512k 64k' -c 'write -P 5 512k 64k' "$case" >&2
  # A checkpoint.
  "$QCOW2_OVERLAY" clone --force "$case" "$after"
  qemu-io -f qcow2 -c 'read -P 5 512k 64k' -c 'write -P 6 512k 64k' "$after" >&2
  qemu-io -r -f qcow2 -c 'read -P 5 512k 64k' "$case" >&2
}

case $1 in
  # The environment is that of any test.
  check)
    [[ $# == 3 && $2 == "two words" && $3 == *image.img ]] || fail "arguments: $*"
    [[ $IMAGE == *image.img && -e $OF_THE_BINARY && $INHERITED == "from outside" ]]
    [[ $TEST_TOTAL_SHARDS == 2 ]] || fail "shards: $TEST_TOTAL_SHARDS"
    touch "$TEST_SHARD_STATUS_FILE"
    [[ -e source.img && -e image.img ]] || fail "runfiles: $(ls)"
    [[ -z ${QCOW2_OVERLAY_TEST:-} ]] || fail "the tool's own variable is still set"
    for disk in "$DISK" "$OTHER" "$TOP"; do
      [[ $disk == "$TEST_TMPDIR"/* && -w $disk && $(stat -c %h "$disk") == 1 ]] || fail "$disk"
      qemu-img check "$disk"
    done
    [[ $DISK != "$OTHER" ]]
    fresh_copies
    # Images in data are only for reading: for root, for a source file and on a worker, too.
    for disk in source.img image.img; do
      if "$QCOW2_OVERLAY" blockdev "$disk"; then fail "$disk can be written to"; fi
      qemu-io -r -c 'read 0 512' "json:$("$QCOW2_OVERLAY" blockdev --read-only "$disk")"
    done
    qemu-img compare -F raw "$DISK" image.img
    # The tool has replaced itself by the test, which is a child of Bazel's script.
    [[ $(ps -o comm= "$PPID" 2>/dev/null || cat "/proc/$PPID/comm") != *as_any_test* ]] || fail "the parent process is the tool"
    ;;
  copies)
    fresh_copies
    # By `bazel run`, too, the tool runs where the test is. A manifest leads to another place.
    [[ ! -e disks/vars.img ]] || "$QCOW2_OVERLAY" info disks/vars.img | grep -q '^image: disks/vars.img$'
    ;;
  # The disk is fresh, and only this run writes to it.
  private)
    # Tests elsewhere have none.
    [[ -z ${VARS:-} ]] || fresh_copies
    further_disks
    pattern=$((RANDOM % 250 + 1))
    guest 'read -P 0 512k 64k'
    guest "write -P $pattern 512k 64k"
    sleep 0.5
    guest "read -P $pattern 512k 64k"
    ;;
  fail)
    guest 'write -P 9 512k 64k'
    fresh_copies
    exit 3
    ;;
  hang)
    guest 'write -P 9 512k 64k'
    # disks.sh looks for a process with this number.
    sleep 424242
    ;;
  # Whatever a test can do to its disks.
  touch)
    further_disks
    for DISK in "$DISK" "$OTHER"; do
      guest 'write -P 9 0 4k'
      : >"$DISK"
    done
    fresh_copies
    rm -r "$VARS" "$STATE"
    ;;
esac
