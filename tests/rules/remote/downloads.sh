# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# What a remote build downloads.

# Prints the images in the output tree, which are the only large outputs.
images() { find "$workspace/bazel-bin/" \( -name '*.qcow2' -o -name '*.img' \) -type f; }

# With the default, --remote_download_toplevel, the output group brings the base, too.
an_overlay_built_with_its_chain_opens() {
  local row overlays
  overlays=$(rows)
  # shellcheck disable=SC2086  # a list of labels
  must build --config=cached --output_groups=+chain $overlays
  for row in $overlays; do
    opens "$workspace/bazel-bin/${row#//:}.qcow2"
  done
}

images_are_downloaded_only_on_request() {
  must clean
  must build --config=remote --remote_download_minimal //...
  ran_remotely
  [[ -z $(images) ]] || fail "downloaded: $(images)"
  must test --config=remote --remote_download_minimal --nocache_test_results //... //disks:private_test
  ran_remotely
  [[ -z $(images) ]] || fail "downloaded by a test: $(images)"
  # In the default mode, a test does not download its disks, either.
  must test --config=remote --nocache_test_results //disks:private_test
  ran_remotely
  [[ -z $(images) ]] || fail "downloaded by a test in the default mode: $(images)"
  # A later request downloads it.
  must build --config=cached --output_groups=+chain //:chain
  opens "$workspace/bazel-bin/chain.qcow2"
}

# `bazel run` downloads the chain in any mode: the disk needs its base.
a_disk_of_bazel_run_opens() {
  local row overlays disk
  overlays=$(rows)
  must clean
  for row in $overlays; do
    disk="$work/disk of ${row#//:}.qcow2"
    must run --config=cached --remote_download_minimal "$row.clone" -- "$disk"
    PLACE=real must run --config=cached --remote_download_minimal "${row}_open"
    opens "$disk"
  done
}

a_new_checkout_builds_nothing_again() {
  # This also builds what is no test.
  must test --config=cached //...
  other_client test --config=cached //... >"$work/log" 2>&1 || { cat "$work/log"; fail "test"; }
  came_from_the_cache
  hashes "$workspace" | diff - <(hashes "$work/copy/matrix") || fail "other hashes"
  grep -qE '^//:chain_test +\(cached\) PASSED' "$work/log" || { cat "$work/log"; fail "not cached"; }
}

what_another_client_built_is_not_built_again() {
  other_client build --config=cached -c opt //... >"$work/log" 2>&1 || { cat "$work/log"; fail "build"; }
  must build --config=cached -c opt //...
  came_from_the_cache
}

check an_overlay_built_with_its_chain_opens
check images_are_downloaded_only_on_request
check a_disk_of_bazel_run_opens
check a_new_checkout_builds_nothing_again
check what_another_client_built_is_not_built_again
