# shellcheck shell=bash disable=SC2154,SC2164 # checks.sh, which sources this, sets the variables and -e
# Systems that lack something. Each function puts what runs the tool there into `prefix`.

# shellcheck disable=SC2016 # the inner shell expands it
# Covers /proc for the tool and for what it runs.
readonly WITHOUT_PROC=(unshare --mount sh -c 'mount -t tmpfs none /proc && exec "$0" "$@"')
readonly AS_NOBODY=(setpriv --reuid 65534 --regid 65534 --clear-groups)

a_system_without_proc() { prefix=("${WITHOUT_PROC[@]}"); }

a_users_account() {
  chown 65534:65534 "$place"
  prefix=("${AS_NOBODY[@]}")
}

# Root of a user name space, as in a container that a user runs.
a_users_account_without_proc() {
  chown 65534:65534 "$place"
  prefix=("${AS_NOBODY[@]}" unshare --map-root-user "${WITHOUT_PROC[@]:1}")
}

# Here no process and no thread can be started.
a_users_account_with_one_thread() {
  chown 54321 "$place"
  prefix=(setpriv --reuid 54321 --regid 54321 --clear-groups bash -c 'ulimit -u 1 && exec "$0" "$@"')
}

# It has nothing but the tool and the directory $place.
an_empty_root() {
  mkdir -p "$work/root${binary%/*}" "$work/root$place"
  cp "$binary" "$work/root$binary"
  mount --bind "$place" "$work/root$place"
  prefix=(unshare --root "$work/root" --wd "$place")
}

# A directory that the user may read, but not change.
a_directory_of_another_user() {
  hold "$place"
  prefix=("${AS_NOBODY[@]}")
}

# Makes the system "$1" and enters $place there, or says that it is skipped.
entered() {
  "$1"
  cd "$place"
  tool --version >/dev/null && return
  echo "SKIPPED $1"
  leave
  return 1
}

leave() {
  cd "$here"
  prefix=()
  if mountpoint -q "$work/root$place"; then umount "$work/root$place"; fi
  rm -rf "$work/root" "$place"
  mkdir "$place"
}

no_process_can_be_started_on() {
  local error='cannot run "true": Resource temporarily unavailable'
  fails 126 "$error" exec --disk D=overlay.qcow2 -- true
  fails 126 "$error" provision -b base.raw late.qcow2 -- true
  # Here the tool becomes COMMAND.
  mkdir -m 777 disks
  [[ $(TEST_TMPDIR=disks "${prefix[@]}" "$binary" exec --disk D=overlay.qcow2 -- echo "it ran") == "it ran" ]]
}

# There is no other program.
the_tool_can_run_itself_on() {
  local error='cannot run "true": No such file or directory'
  fails 127 "$error" exec --disk D=overlay.qcow2 -- true
  fails 127 "$error" provision -b base.raw late.qcow2 -- true
  tool exec --disk D=overlay.qcow2 -- "$binary" create -q disk.qcow2 1G
  cmp disk.qcow2 blank.qcow2
  tool provision -q -b base.raw late.qcow2 -- "$binary" create -q written.qcow2 1G
  same late.qcow2
  cmp written.qcow2 blank.qcow2
}

for system in a_system_without_proc a_users_account a_users_account_without_proc; do
  entered "$system" || continue
  check_commands "$system"
  leave
done

while read -r system checks; do
  entered "$system" || continue
  cp --preserve=timestamps "$sources"/* .
  for check in $checks nothing_else_is_left_on; do check "$check" "$system"; done
  leave
done <<'END'
a_users_account_with_one_thread create_works_on convert_works_on clone_works_on no_process_can_be_started_on
an_empty_root create_works_on convert_works_on clone_works_on the_tool_can_run_itself_on
END

if entered a_directory_of_another_user; then
  for command in create convert clone exec provision; do
    check "${command}_fails_on" a_directory_of_another_user "Permission denied"
  done
  leave
fi
