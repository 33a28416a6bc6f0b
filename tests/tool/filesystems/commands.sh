# shellcheck shell=bash disable=SC2154,SC2164 # checks.sh, which sources this, sets the variables and -e
# What each command writes, compared with what it writes to the machine's own file system.

# Two disks of 8 MiB with 2 MiB of data, which differ in 128 KiB.
mkdir "$place" "$sources"
(
  cd "$sources"
  truncate -s 8M base.raw
  head -c 1M <(seq 1000000) | dd of=base.raw conv=notrunc status=none
  head -c 1M <(seq 2000000 3000000) | dd of=base.raw conv=notrunc bs=1M seek=4 status=none
  cp base.raw changed.raw
  head -c 128K <(seq 9000000 9100000) | dd of=changed.raw conv=notrunc bs=64K seek=14 status=none
  touch -d '2020-02-02 02:02:02 UTC' base.raw changed.raw
)

# Checks that the file "$1" here is what it is on the machine's own file system.
same() { [[ ! -d $reference ]] || cmp "$1" "$reference/$1"; }

# Checks that the image "$1" has no errors and, if there is "$2", the content of that.
sound() {
  qemu-img check -q "$1" || fail "$1 has errors"
  [[ -z ${2:-} ]] || qemu-img compare -q -f qcow2 -F raw "$1" "$2" || fail "$1 is not like $2"
}

# Checks that the file "$1" is not replaced by the tool with the other arguments.
not_replaced() {
  local name=$1
  echo precious >"$name"
  fails 1 "\"$name\" exists; --force replaces it" "${@:2}"
  [[ $(<"$name") == precious ]] || fail "$name was replaced"
  rm "$name"
}

# Checks that the tool fails with the status "$1" and one line with "$2".
fails() {
  local expected=$1 message=$2 status=0 line
  shift 2
  line=$(tool "$@" 2>&1 >/dev/null) || status=$?
  ((status == expected)) || fail "status $status of $*: $line"
  [[ $line == "qcow2-overlay: "*"$message"* && $line != *$'\n'* ]] || fail "message of $*: $line"
}

create_works_on() {
  tool create -q blank.qcow2 1G
  same blank.qcow2
  sound blank.qcow2
  not_replaced overlay.qcow2 create overlay.qcow2 1G
  tool create -q overlay.qcow2 1G
  tool create -q --force -b base.raw -F raw overlay.qcow2
  same overlay.qcow2
  sound overlay.qcow2 base.raw
}

convert_works_on() {
  tool convert -q changed.raw changed.qcow2
  same changed.qcow2
  sound changed.qcow2 changed.raw
  tool convert -q -O raw changed.qcow2 copy.raw
  cmp copy.raw changed.raw
  tool convert -q -f raw - stream.qcow2 <changed.raw
  same stream.qcow2
  cmp stream.qcow2 changed.qcow2
  tool convert -q -c -o compression_type=zstd changed.raw compressed.qcow2
  same compressed.qcow2
  sound compressed.qcow2 changed.raw
  tool convert -q -B base.raw -F raw changed.qcow2 difference.qcow2
  same difference.qcow2
  sound difference.qcow2 changed.raw
  not_replaced other.qcow2 convert base.raw other.qcow2
  not_replaced other.raw convert -O raw changed.qcow2 other.raw
  # A file that appears while the tool reads. (A pipe holds 64 KiB.)
  { head -c 1M base.raw && echo precious >late.qcow2 && tail -c +1048577 base.raw; } |
    fails 1 '"late.qcow2" exists; --force replaces it' convert -f raw - late.qcow2
  [[ $(<late.qcow2) == precious ]] || fail "late.qcow2 was replaced"
  rm late.qcow2
}

clone_works_on() {
  tool clone overlay.qcow2 clone.qcow2 >/dev/null
  same clone.qcow2
  sound clone.qcow2 base.raw
  not_replaced other.qcow2 clone overlay.qcow2 other.qcow2
}

exec_works_on() {
  # shellcheck disable=SC2016 # COMMAND expands it
  tool exec --disk D=overlay.qcow2 -- sh -ec '
    cp "$D" disk.qcow2
    qemu-io -c "write -q -P 7 64k 64k" -c "read -q -P 7 64k 64k" -c "read -q -P 0 2M 64k" "json:$D_BLOCKDEV"'
  cmp disk.qcow2 clone.qcow2
  rm disk.qcow2
  # shellcheck disable=SC2016
  tool exec --disk D=overlay.qcow2 -- sh -ec '"$QCOW2_OVERLAY" clone "$D" disk.qcow2' >/dev/null
  cmp disk.qcow2 clone.qcow2
  TEST_UNDECLARED_OUTPUTS_DIR=. fails 3 /disks \
    exec --keep on_failure --disk D=overlay.qcow2 -- sh -c 'exit 3'
  cmp disks/D.qcow2 clone.qcow2
  TEST_UNDECLARED_OUTPUTS_DIR=. fails 0 /disks.2 \
    exec --keep always --disk D=overlay.qcow2 -- true
  cmp disks.2/D.qcow2 clone.qcow2
  TEST_UNDECLARED_OUTPUTS_DIR=. fails 0 /disks.3 \
    exec --keep always --copy C=changed.raw -- true
  cmp disks.3/C changed.raw
}

provision_works_on() {
  # shellcheck disable=SC2016 # COMMAND expands it
  tool provision -q -b base.raw -F raw provisioned.qcow2 -- sh -c 'cat changed.qcow2 >"$DISK"'
  cmp provisioned.qcow2 difference.qcow2
  # shellcheck disable=SC2016
  tool provision -q -b base.raw -F raw written.qcow2 -- \
    sh -c 'qemu-io -c "write -q -P 9 64k 1M" "json:$DISK_BLOCKDEV"'
  same written.qcow2
  sound written.qcow2
  qemu-io -r -c "read -q -P 9 64k 1M" written.qcow2
  not_replaced other.qcow2 provision -q -b base.raw other.qcow2 -- true
  # COMMAND writes the file that the tool is about to write.
  fails 1 '"late.qcow2" exists; --force replaces it' \
    provision -b base.raw late.qcow2 -- sh -c 'echo precious >late.qcow2'
  [[ $(<late.qcow2) == precious ]] || fail "late.qcow2 was replaced"
  tool provision -q --force -b base.raw -F raw late.qcow2 -- sh -c 'echo new >late.qcow2'
  same late.qcow2
  sound late.qcow2 base.raw
}

# All files are found by *, hidden ones too.
shopt -s dotglob
readonly IMAGES=" lost+found base.raw blank.qcow2 changed.qcow2 changed.raw clone.qcow2 compressed.qcow2 copy.raw difference.qcow2 \
disk.qcow2 disks disks.2 disks.3 late.qcow2 overlay.qcow2 provisioned.qcow2 stream.qcow2 written.qcow2 "

nothing_else_is_left_on() {
  local name
  for name in *; do
    [[ $IMAGES == *" $name "* ]] || fail "left: $name"
  done
}

# Runs all commands in the current directory, which is on "$1".
check_commands() {
  local command
  cp --preserve=timestamps "$sources"/* .
  for command in create convert clone exec provision; do check "${command}_works_on" "$1"; done
  check nothing_else_is_left_on "$1"
}

cd "$place"
check_commands the_own_file_system
cd "$here"
mv "$place" "$reference"
mkdir "$place"
