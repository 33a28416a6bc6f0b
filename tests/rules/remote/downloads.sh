# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# What is on the client's disk behind a remote build.

# The images in the output tree: nothing else is there that could be downloaded and large.
images() { find "$workspace/bazel-bin/" \( -name '*.qcow2' -o -name '*.img' \) -type f; }

# With the default, --remote_download_toplevel, and its output group: the base is there too.
an_overlay_that_was_built_with_its_chain_opens() {
  local row overlays
  mapfile -t overlays < <(rows)
  must clean
  must build --config=cached --output_groups=+chain "${overlays[@]}"
  for row in "${overlays[@]}"; do
    opens "$workspace/bazel-bin/${row#//:}.qcow2"
  done
}

nothing_is_downloaded_that_nobody_asked_for() {
  must clean
  must build --config=remote --remote_download_minimal //...
  ran_remotely
  [[ -z $(images) ]] || fail "downloaded: $(images)"
  must test --config=remote --remote_download_minimal --nocache_test_results //... //disks:private_test
  ran_remotely
  [[ -z $(images) ]] || fail "downloaded by a test: $(images)"
  # A test does not bring its disks in the default mode, either.
  must test --config=remote --nocache_test_results //disks:private_test
  ran_remotely
  [[ -z $(images) ]] || fail "downloaded by the test as the top level: $(images)"
  # Asked for later, it is there.
  must build --config=cached --output_groups=+chain //:chain
  opens "$workspace/bazel-bin/chain.qcow2"
}

# `bazel run` downloads the chain in any mode: the disk needs its base.
bazel_run_gives_a_disk_that_opens() {
  local row disk
  must clean
  for row in $(rows); do
    disk="$work/disk of ${row#//:}.qcow2"
    must run --config=cached --remote_download_minimal "$row.clone" -- "$disk"
    PLACE=real must run --config=cached --remote_download_minimal "${row}_open"
    opens "$disk"
  done
}

a_clean_checkout_builds_nothing() {
  must build --config=cached //...
  must test --config=cached //...
  other_client build --config=cached //... >"$work/log" 2>&1 || { cat "$work/log"; fail "build"; }
  came_from_the_cache
  hashes "$workspace" | diff - <(hashes "$work/copy/matrix") || fail "other hashes"
  other_client test --config=cached //... >"$work/log" 2>&1 || { cat "$work/log"; fail "test"; }
  came_from_the_cache
  grep -qE '^//:chain_test +\(cached\) PASSED' "$work/log" || { cat "$work/log"; fail "not cached"; }
}

what_another_client_built_is_not_built_again() {
  other_client build --config=cached -c opt //... >"$work/log" 2>&1 || { cat "$work/log"; fail "build"; }
  must build --config=cached -c opt //...
  came_from_the_cache
}

check an_overlay_that_was_built_with_its_chain_opens
check nothing_is_downloaded_that_nobody_asked_for
check bazel_run_gives_a_disk_that_opens
check a_clean_checkout_builds_nothing
check what_another_client_built_is_not_built_again
