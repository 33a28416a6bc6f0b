# shellcheck shell=bash disable=SC2154,SC2164 # checks.sh, which sources this, sets the variables and -e
# File systems that refuse: a command fails in one line, and leaves nothing or the old file.

# Without hard links and RENAME_NOREPLACE: the file appears between the call that fails and the next.
FUSE_with_a_race() { passthrough race; }

# Puts a file into the directory "$1" that is to be replaced.
hold() { echo precious >"$1/old.qcow2"; }

# Writes to the file system at $place until its last block is full.
fill() {
  hold "$place"
  local size
  for size in 1M 4K 512; do
    until ! head -c "$size" /dev/urandom; do true; done
  done >>"$place/filler" 2>/dev/null
  sync -f "$place"
}

a_full_ext4() { disk && mkfs.ext4 -q -m 0 "$work/disk" 16M && mount -o loop "$work/disk" "$place" && fill; }
a_full_tmpfs() { mount -t tmpfs -o size=3M none "$place" && fill; }

# This kind of quota holds for root, too.
btrfs_over_quota() {
  btrfs && command btrfs -q quota enable "$place" && command btrfs -q subvolume create "$place/limited" &&
    command btrfs -q qgroup limit 1M "$place/limited" && mount --bind "$place/limited" "$place" && fill
}

# A write that succeeded fails later.
a_server_over_quota() { passthrough EDQUOT 0 && hold "$work/directory"; }
a_failing_server() { passthrough EIO 0 && hold "$work/directory"; }

# With room for what COMMAND writes, but not for a copy of it, too.
a_server_with_room_for_one() { passthrough ENOSPC $((3 << 20)) && hold "$work/directory"; }
a_tmpfs_with_room_for_one() { mount -t tmpfs -o size=3M none "$place" && hold "$place"; }

# Checks that nothing was written at $place, the current directory.
nothing_is_written() {
  local name
  for name in *; do
    case $name in
      filler | lost+found) ;;
      old.qcow2) [[ $(<old.qcow2) == precious ]] || fail "old.qcow2 was replaced" ;;
      *) fail "left: $name" ;;
    esac
  done
}

create_fails_on() {
  fails 1 "cannot write \"new.qcow2\": $2" create new.qcow2 1G
  fails 1 "cannot write \"old.qcow2\": $2" create --force old.qcow2 1G
  nothing_is_written
}

convert_fails_on() {
  fails 1 "to \"new.qcow2\": $2" convert "$reference/base.raw" new.qcow2
  fails 1 "to \"new.raw\": $2" convert -O raw "$reference/changed.qcow2" new.raw
  fails 1 "to \"new.qcow2\": $2" convert -B "$reference/base.raw" "$reference/changed.raw" new.qcow2
  fails 1 "to \"old.qcow2\": $2" convert --force "$reference/base.raw" old.qcow2
  nothing_is_written
}

clone_fails_on() {
  fails 1 "cannot write \"new.qcow2\": $2" clone "$reference/overlay.qcow2" new.qcow2
  fails 1 "cannot write \"old.qcow2\": $2" clone --force "$reference/overlay.qcow2" old.qcow2
  nothing_is_written
}

exec_fails_on() {
  fails 1 "$2" exec --disk "D=$reference/overlay.qcow2" -- touch "$work/ran"
  TEST_UNDECLARED_OUTPUTS_DIR=. fails 1 "$2" \
    exec --keep always --disk "D=$reference/overlay.qcow2" -- touch "$work/ran"
  [[ ! -e $work/ran ]] || fail "COMMAND was run"
  nothing_is_written
}

# The disk, of 4 MiB, is written elsewhere, and lost; the failure of COMMAND is what counts.
exec_cannot_keep_a_disk_on() {
  # shellcheck disable=SC2016 # COMMAND expands it
  temporary=$work TEST_UNDECLARED_OUTPUTS_DIR=. fails 3 "$2" \
    exec --keep on_failure --disk "D=$reference/overlay.qcow2" -- \
    sh -c 'cat "$0/changed.qcow2" "$0/changed.qcow2" >"$D"; exit 3' "$reference"
  [[ ! -e disks/D.qcow2 ]] || fail "left: a part of the disk"
}

provision_fails_on() {
  fails 1 "$2" provision -b "$reference/base.raw" new.qcow2 -- touch "$work/ran"
  [[ ! -e $work/ran ]] || fail "COMMAND was run"
  nothing_is_written
}

provision_fails_at_its_end_on() {
  # On this base, FILE holds all that COMMAND writes.
  truncate -s 8M "$work/empty.raw"
  # shellcheck disable=SC2016 # COMMAND expands it
  fails 1 "cannot write \"new.qcow2\": $2" provision -b "$work/empty.raw" new.qcow2 -- \
    sh -c 'cat "$0/changed.qcow2" >"$DISK"' "$reference"
  nothing_is_written
}

a_name_that_is_just_taken_is_not_replaced_on() {
  fails 1 '"new.qcow2" exists; --force replaces it' create new.qcow2 1G
  fails 1 '"new.raw" exists; --force replaces it' convert -O raw "$reference/changed.qcow2" new.raw
  [[ $(cat new.*) == precious$'\n'precious ]] || fail "a file was replaced"
  rm new.*
  tool create -q --force new.qcow2 1G
  cmp new.qcow2 "$reference/blank.qcow2"
}

readonly FULL="No space left on device"

while read -r filesystem error; do
  mounted "$filesystem" || continue
  for command in create convert clone exec provision; do check "${command}_fails_on" "$filesystem" "$error"; done
  check exec_cannot_keep_a_disk_on "$filesystem" "$error"
  unmount
done <<END
a_full_ext4 $FULL
a_full_tmpfs $FULL
btrfs_over_quota Disk quota exceeded
a_server_over_quota Disk quota exceeded
a_failing_server Input/output error
END

for filesystem in a_tmpfs_with_room_for_one a_server_with_room_for_one; do
  mounted "$filesystem" || continue
  check provision_fails_at_its_end_on "$filesystem" "$FULL"
  check exec_cannot_keep_a_disk_on "$filesystem" "$FULL"
  unmount
done

if mounted FUSE_with_a_race; then
  check a_name_that_is_just_taken_is_not_replaced_on FUSE_with_a_race
  unmount
fi
