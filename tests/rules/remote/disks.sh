# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# qcow2_test on the worker: disks and copies are private, and kept ones are downloaded.

disks_are_private_on_the_worker() {
  INHERITED="from outside" must test --config=remote --nocache_test_results --runs_per_test=2 \
    //disks:as_any_test //disks:private_test //disks:copies_alone_test
  ran_remotely
  grep -q 'Stats over 2 runs' "$work/log" || fail "not two runs"
}

# The inputs of a test are links to the files of the cache, and the test runs as root.
a_test_changes_nothing_in_the_cache() {
  local before
  must build --config=cached //...
  before=$(hashes "$workspace")
  must test --config=remote //disks:touch_test
  ran_remotely
  # Another test finds fresh copies.
  must test --config=remote //disks:private_test
  must clean
  must build --config=cached //...
  came_from_the_cache
  hashes "$workspace" | diff <(echo "$before") - || fail "an image changed"
}

kept_disks_are_downloaded() {
  local kept="$workspace/bazel-testlogs/disks/fail_keep_on_failure/test.outputs/disks" disk
  if bazel test --config=remote //disks:fail_keep_on_failure //disks:private_keep_on_failure >"$work/log" 2>&1; then
    fail "passed"
  fi
  ran_remotely
  [[ -z $(outputs private_keep_on_failure) ]] || fail "kept though it passed"
  [[ $(outputs fail_keep_on_failure) == *disks/DISK.qcow2*disks/STATE/v2/new*disks/VARS* ]] || fail "not kept"
  disk=$kept/DISK.qcow2
  # The disk names its base on the worker. The README.txt beside it says what to do.
  grep -qF 'qemu-img rebase -u -F FORMAT -b PATH DISK' "$kept/README.txt" || fail "README.txt does not say how to rebase"
  must build --config=cached --output_groups=+chain //:chain
  qemu /usr/bin/qemu-img rebase -u -F qcow2 -b "$workspace/bazel-bin/other/middle.qcow2" "$disk"
  opens "$disk"
  qemu /usr/bin/qemu-io -r -c 'read -P 9 512k 64k' "$disk" >"$work/log" 2>&1 || { cat "$work/log"; fail "the disk has other data"; }
}

kept_disks_of_a_retried_test_are_downloaded() {
  local outputs="$workspace/bazel-testlogs/disks/fail_keep_on_failure" option
  for option in --zip_undeclared_test_outputs --nozip_undeclared_test_outputs; do
    if bazel test --config=remote //disks:fail_keep_on_failure --flaky_test_attempts=2 "$option" >"$work/log" 2>&1; then
      fail "passed"
    fi
    ran_remotely
    [[ $option == --nozip* || -e $outputs/test_attempts/attempt_1.outputs/outputs.zip ]] || fail "not packed"
    [[ $option == --zip* || -e $outputs/test_attempts/attempt_1.outputs/disks/DISK.qcow2 ]] || fail "not kept"
    grep -qF 'fail_keep_on_failure/test.outputs/disks; if Bazel retries the test, in test_attempts/attempt_N.outputs;' \
      "$outputs/test_attempts/attempt_1.log" || fail "the log does not say where they are"
  done
}

check disks_are_private_on_the_worker
check a_test_changes_nothing_in_the_cache
check kept_disks_are_downloaded
check kept_disks_of_a_retried_test_are_downloaded
