# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# qcow2_test with the real Bazel: disks and copies are private, and no test changes an image.

# Runs tests. The output is in $work/log.
run_tests() { bazel test --nocache_test_results --test_output=errors "$@" >"$work/log" 2>&1; }

a_test_with_disks_behaves_like_any_test() {
  local option
  must build //disks:all
  INHERITED="from outside" run_tests //disks:as_any_test //disks:copies_alone_test --spawn_strategy=local ||
    { cat "$work/log"; fail "local"; }
  INHERITED="from outside" run_tests //disks/... //disks:as_any_test //disks:private_test ||
    { cat "$work/log"; fail "sandbox, with an incompatible test"; }
  grep -qE '^//disks:incompatible_test +SKIPPED' "$work/log" || fail "not skipped"
  must run //disks:copies_alone_test
  for option in --spawn_strategy=linux-sandbox --spawn_strategy=local; do
    run_tests //disks:copies_alone_test --noenable_runfiles "$option" || { cat "$work/log"; fail "copies alone, $option"; }
  done
}

parallel_runs_do_not_interfere() {
  run_tests //disks:private_test --runs_per_test=4 --jobs=4 --local_test_jobs=4 --spawn_strategy=local ||
    { cat "$work/log"; fail "a run failed"; }
  printed "Stats over 4 runs"
}

a_killed_test_leaves_nothing_behind() {
  local strategy status
  for strategy in linux-sandbox local; do
    status=0
    run_tests //disks:hang_test --test_timeout=3 --spawn_strategy="$strategy" || status=$?
    ((status == 3)) || fail "status $status"
    printed "TIMEOUT"
    if pgrep -f 'sleep 424242'; then fail "$strategy: still running"; fi
    # The next test gets a fresh disk.
    run_tests //disks:private_test --spawn_strategy="$strategy" || { cat "$work/log"; fail "the next test failed"; }
  done
}

# Prints where the disks are, as the log "$1" of a test says it: the path before the first condition.
kept_in() { sed -nE 's/^qcow2-overlay: the disks and copies are kept in ([^;]+); if Bazel retries .*/\1/p' "$1"; }

keep_disks_decides_which_disks_are_kept() {
  local name keep kept place disk
  if run_tests --keep_going //disks:{fail,private}_keep_{always,never,on_failure}; then fail "passed"; fi
  for name in fail private; do
    for keep in always never on_failure; do
      kept=$(outputs "${name}_keep_$keep")
      case $name,$keep in
        *,always | fail,on_failure)
          [[ $kept == *disks/DISK.qcow2*disks/README.txt*disks/STATE/v2/new*disks/VARS* ]] || fail "$name, $keep: $kept"
          place=$(kept_in "$workspace/bazel-testlogs/disks/${name}_keep_$keep/test.log")
          [[ $place == bazel-out/*/testlogs/disks/${name}_keep_$keep/test.outputs/disks ]] || fail "the log names $place"
          disk=$workspace/$place/DISK.qcow2
          (($(stat -c '%b * 512' "$disk") < 1 << 20)) || fail "not sparse: $(stat "$disk")"
          if [[ $name == fail ]]; then
            # The disk opens with its base, and holds what the test wrote.
            in_root qemu-io -r -c 'read -P 9 512k 64k' "$disk"
          fi
          ;;
        *) [[ -z $kept ]] || fail "$name, $keep: $kept" ;;
      esac
    done
  done
}

# Also at a timeout, when Bazel sends TERM and soon KILL.
a_test_can_keep_images_that_need_no_base() {
  local name strategy outputs
  for strategy in linux-sandbox local; do
    if run_tests --keep_going //disks:{fail,hang}_keep_image --test_timeout=3 --spawn_strategy="$strategy"; then fail "passed"; fi
    for name in fail hang; do
      grep -qE "^//disks:${name}_keep_image +(FAILED|TIMEOUT)" "$work/log" || { cat "$work/log"; fail "$name, $strategy: not failed"; }
    done
    for name in fail hang; do
      [[ $(outputs "${name}_keep_image") == *disks/DISK.qcow2*disks/README.txt*disks/STATE/v2/key.img*disks/VARS* ]] || fail "$name, $strategy"
      outputs=$workspace/bazel-testlogs/disks/${name}_keep_image/test.outputs/disks
      ! grep 'kept as an overlay' "$outputs/../../test.log" || fail "$name, $strategy"
      # Elsewhere it would not find a base.
      mv "$outputs/DISK.qcow2" "$work/image.qcow2"
      # shellcheck disable=SC2016  # the shell in the root expands it
      in_root sh -ec 'qemu-img info "$0"; qemu-img check "$0"; qemu-io -r -c "read -P 9 512k 64k" "$0"' "$work/image.qcow2"
      if grep 'backing file' "$work/log"; then fail "it has a base"; fi
      printed "compression type: zstd"
      grep -q '^  needs no other file$' "$outputs/README.txt" || { cat "$outputs/README.txt"; fail "README.txt"; }
    done
  done
}

# Each attempt of each run, packed or not. The link bazel-testlogs leads to another configuration.
a_log_says_where_the_disks_of_a_retried_test_are() {
  local zip file log place outputs
  for zip in zip nozip; do
    run_tests //disks:fail_keep_on_failure -c opt --runs_per_test=2 --flaky_test_attempts=2 "--${zip}_undeclared_test_outputs" || true
    must build //:image
    file=outputs.zip
    [[ $zip == zip ]] || file=disks/DISK.qcow2
    for log in "$workspace"/bazel-out/*-opt/testlogs/disks/fail_keep_on_failure/run_{1,2}_of_2/{test,test_attempts/attempt_1}.log; do
      place=$(kept_in "$log")
      [[ $place == bazel-out/*/run_?_of_2/test.outputs/disks ]] || fail "$log names $place"
      outputs=$workspace/${place%/disks}
      if [[ $log == */attempt_1.log ]]; then
        grep -qF '; if Bazel retries the test, in test_attempts/attempt_N.outputs;' "$log" || fail "$log does not name the attempt"
        outputs=${outputs%/*}/test_attempts/attempt_1.outputs
      fi
      [[ $outputs == "${log%.log}.outputs" && -e $outputs/$file ]] || fail "no $outputs/$file"
    done
    grep -qF '; if it zips outputs, in outputs.zip there' "$log" || fail "$log does not name outputs.zip"
  done
}

a_corrupt_base_gives_a_message_of_one_line() {
  if run_tests //disks:corrupt_test; then fail "passed"; fi
  (($(grep -c '^qcow2-overlay: ' "$work/log") == 1)) || { cat "$work/log"; fail "not one line"; }
  printed 'corrupt.img"'
}

# The test is the first to open the base.
a_wrong_size_or_format_gives_a_message_of_one_line() {
  if run_tests --keep_going //disks:cut_off_test //disks:not_raw_test //disks:not_qcow2_test; then fail "passed"; fi
  (($(grep -cE '^//disks:.*_test +FAILED' "$work/log") == 3)) || { cat "$work/log"; fail "not all failed"; }
  (($(grep -c '^qcow2-overlay: ' "$work/log") == 3)) || { cat "$work/log"; fail "not one line each"; }
  printed 'its size of 524288 bytes cuts off the end of its backing file'
  printed '(in a BUILD file: size)'
  printed 'backing_format = "qcow2"'
  printed 'backing_format = "raw"'
}

# As root, and as another user, which the sandbox can make of root.
neither_a_test_nor_bazel_run_changes_a_build_output() {
  local before option
  must build //...
  before=$(find "$workspace/bazel-bin/" -name '*.qcow2' -o -name '*.img' -type f | sort | tr '\n' '\0' | xargs -0 sha256sum)
  for option in --spawn_strategy=local --sandbox_fake_username --nosandbox_fake_username; do
    run_tests //disks:touch_test "$option" || { cat "$work/log"; fail "$option"; }
    # Before Bazel runs again, which makes a changed output anew.
    sha256sum --check --quiet <<<"$before"
  done
  # The disk that `bazel run` makes is not the image, either.
  must run //:same_package.clone -- "$work/touched.qcow2"
  : >"$work/touched.qcow2"
  sha256sum --check --quiet <<<"$before"
}

# The inputs of its actions are the files themselves under another name, and root can write to them.
a_hermetic_sandbox_changes_no_file() {
  local sources images
  must clean
  must build //...
  images=$(hashes "$workspace")
  sources=$(find "${workspace%/*}" -name '*.img' -type f -exec sha256sum {} +)
  must clean
  must build //... "${hermetic_sandbox[@]}"
  run_tests //disks:touch_test "${hermetic_sandbox[@]}" || { cat "$work/log"; fail "the test failed"; }
  sha256sum --check --quiet <<<"$sources"
  diff <(echo "$images") <(hashes "$workspace") || fail "other images than in another sandbox"
}

# It names its base by a path of the sandbox.
a_kept_disk_of_a_hermetic_sandbox_opens_when_it_is_rebased() {
  local disk="$workspace/bazel-testlogs/disks/fail_keep_on_failure/test.outputs/disks/DISK.qcow2"
  if run_tests //disks:fail_keep_on_failure "${hermetic_sandbox[@]}"; then fail "passed"; fi
  outputs fail_keep_on_failure >"$work/log"
  grep -qE '^  on qcow2 /execroot/.*/middle.qcow2,' "${disk%/*}/README.txt" || { cat "${disk%/*}/README.txt"; fail "another base"; }
  in_root qemu-img rebase -u -F qcow2 -b "$workspace/bazel-bin/other/middle.qcow2" "$disk"
  in_root qemu-io -r -c 'read -P 9 512k 64k' "$disk"
  in_root "$workspace/prebuilt/qcow2-overlay" convert -q "$disk" "$work/merged.qcow2"
}

check a_test_with_disks_behaves_like_any_test
check parallel_runs_do_not_interfere
check a_killed_test_leaves_nothing_behind
check keep_disks_decides_which_disks_are_kept
check a_test_can_keep_images_that_need_no_base
check a_log_says_where_the_disks_of_a_retried_test_are
check a_corrupt_base_gives_a_message_of_one_line
check a_wrong_size_or_format_gives_a_message_of_one_line
check neither_a_test_nor_bazel_run_changes_a_build_output
check a_hermetic_sandbox_changes_no_file
check a_kept_disk_of_a_hermetic_sandbox_opens_when_it_is_rebased
