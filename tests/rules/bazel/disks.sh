# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# qcow2_test under the real Bazel: private disks, whatever happens to the test.

# Runs tests, which are tagged manual, and keeps what Bazel says in $work/log.
run_tests() { bazel test --nocache_test_results --test_output=errors "$@" >"$work/log" 2>&1; }

a_test_with_disks_is_like_any_test() {
  INHERITED="from outside" run_tests //disks:as_any_test --spawn_strategy=local ||
    { cat "$work/log"; fail "local"; }
  INHERITED="from outside" run_tests //disks:as_any_test || { cat "$work/log"; fail "sandbox"; }
  must build //disks:all
  run_tests //disks/... //disks:private_test || { cat "$work/log"; fail "with one that is skipped"; }
  grep -qE '^//disks:incompatible_test +SKIPPED' "$work/log" || fail "not skipped"
}

runs_do_not_interfere() {
  run_tests //disks:private_test --runs_per_test=4 --jobs=4 --local_test_jobs=4 --spawn_strategy=local ||
    { cat "$work/log"; fail "a run failed"; }
  said "Stats over 4 runs"
}

a_test_that_is_killed_leaves_nothing() {
  local strategy status
  for strategy in linux-sandbox local; do
    status=0
    run_tests //disks:hang_test --test_timeout=3 --spawn_strategy="$strategy" || status=$?
    ((status == 3)) || fail "status $status"
    said "TIMEOUT"
    if pgrep -f 'sleep 424242'; then fail "$strategy: still running"; fi
    # The next test finds its directory empty.
    must build //:same_package
    run_tests //disks:private_test --spawn_strategy="$strategy" || fail "the next test"
  done
}

disks_are_kept_as_asked() {
  local name keep kept place disk
  for name in fail private; do
    for keep in always never on_failure; do
      run_tests "//disks:${name}_keep_$keep" || true
      kept=$(outputs "${name}_keep_$keep")
      case $name,$keep in
        *,always | fail,on_failure)
          [[ $kept == *disks/DISK.qcow2*disks/README.txt* ]] || fail "$name, $keep: $kept"
          place=bazel-testlogs/disks/${name}_keep_$keep/test.outputs/disks
          grep -qF "the disks are kept in $place," "$workspace/${place%/*/*}/test.log" || fail "not said: $place"
          disk=$workspace/$place/DISK.qcow2
          (($(stat -c '%b * 512' "$disk") < 1 << 20)) || fail "not sparse: $(stat "$disk")"
          if [[ $name == fail ]]; then
            # Its base is found, and what the test wrote is there.
            (cd "$root" && ./bazelw run //tests:shell -- qemu-io -r -c 'read -P 9 512k 64k' "$disk") \
              >"$work/log" 2>&1 || { cat "$work/log"; fail "$keep: cannot be read"; }
          fi
          ;;
        *) [[ -z $kept ]] || fail "$name, $keep: $kept" ;;
      esac
    done
  done
}

a_corrupt_base_is_one_line() {
  run_tests //disks:corrupt_test && fail "passed"
  (($(grep -c '^qcow2-overlay: ' "$work/log") == 1)) || { cat "$work/log"; fail "not one line"; }
  said 'corrupt.img"'
}

# The base is looked at by no one before the test.
what_is_declared_wrongly_is_one_line() {
  run_tests --keep_going //disks:cut_off_test //disks:not_raw_test //disks:not_qcow2_test && fail "passed"
  (($(grep -cE '^//disks:.*_test +FAILED' "$work/log") == 3)) || { cat "$work/log"; fail "not each failed"; }
  (($(grep -c '^qcow2-overlay: ' "$work/log") == 3)) || { cat "$work/log"; fail "not one line each"; }
  said 'its size of 524288 bytes cuts off the end of its backing file'
  said '(in a BUILD file: size)'
  said 'backing_format = "qcow2"'
  said 'backing_format = "raw"'
}

# As root, and as a user who is not, which is what the sandbox can make of root.
no_build_output_changes() {
  local before option
  must build //...
  before=$(find "$workspace/bazel-bin/" -name '*.qcow2' -o -name '*.img' -type f | sort | tr '\n' '\0' | xargs -0 sha256sum)
  for option in --spawn_strategy=local --sandbox_fake_username --nosandbox_fake_username; do
    run_tests //disks:touch_test "$option" || { cat "$work/log"; fail "$option"; }
  done
  # And through `bazel run`.
  must run //:same_package.clone -- "$work/touched.qcow2"
  : >"$work/touched.qcow2"
  sha256sum --check --quiet <<<"$before"
}

check a_test_with_disks_is_like_any_test
check runs_do_not_interfere
check a_test_that_is_killed_leaves_nothing
check disks_are_kept_as_asked
check a_corrupt_base_is_one_line
check what_is_declared_wrongly_is_one_line
check no_build_output_changes
