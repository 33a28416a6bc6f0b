# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# qcow2_test on the worker: private disks, and those that are kept come back.

disks_are_private_on_the_worker() {
  INHERITED="from outside" must test --config=remote --nocache_test_results --runs_per_test=2 \
    //disks:as_any_test //disks:private_test
  ran_remotely
  grep -q 'Stats over 2 runs' "$work/log" || fail "not two runs"
}

# The files of a test's input tree are links to those of the cache, and the test is root's.
nothing_in_the_cache_changes() {
  local before
  must build --config=cached //...
  before=$(hashes "$workspace")
  must test --config=remote //disks:touch_test
  ran_remotely
  must clean
  must build --config=cached //...
  came_from_the_cache
  hashes "$workspace" | diff <(echo "$before") - || fail "changed"
}

kept_disks_come_back() {
  local kept="$workspace/bazel-testlogs/disks/fail_keep_on_failure/test.outputs/disks" disk
  if bazel test --config=remote //disks:fail_keep_on_failure //disks:private_keep_on_failure >"$work/log" 2>&1; then
    fail "passed"
  fi
  ran_remotely
  [[ -z $(outputs private_keep_on_failure) ]] || fail "kept though it passed"
  [[ $(outputs fail_keep_on_failure) == *disks/DISK.qcow2* ]] || fail "not kept"
  disk=$kept/DISK.qcow2
  # Its base was on the worker. README.txt, which is kept with it, says what to do.
  grep -qF 'qemu-img rebase -u -F FORMAT -b PATH DISK' "$kept/README.txt" || fail "not said"
  must build --config=cached --output_groups=+chain //:chain
  qemu /usr/bin/qemu-img rebase -u -F qcow2 -b "$workspace/bazel-bin/other/middle.qcow2" "$disk"
  opens "$disk"
  qemu /usr/bin/qemu-io -r -c 'read -P 9 512k 64k' "$disk" >"$work/log" 2>&1 || { cat "$work/log"; fail "not its data"; }
}

check disks_are_private_on_the_worker
check nothing_in_the_cache_changes
check kept_disks_come_back
