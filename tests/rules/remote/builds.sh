# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# Builds and tests on the worker.

the_worker_sees_nothing_of_the_client() {
  mkdir "$workspace/worker"
  cat >"$workspace/worker/BUILD.bazel" <<END
genrule(
    name = "sees",
    outs = ["sees.txt"],
    cmd = "for path in '$work' '$root' '$HOME/.cache'; do ls -d \"\$\$path\" || true; done >\$@; env >>\$@",
)
END
  must build --config=remote //worker:sees
  ran_remotely
  if grep -E "^/|$work|^(HOME|USER)=" "$workspace/bazel-bin/worker/sees.txt"; then fail "the worker sees these"; fi
  rm -r "$workspace/worker"
}

remote_actions_make_the_same_images_as_local_ones() {
  must build //...
  hashes "$workspace" >"$work/local"
  (($(wc -l <"$work/local") >= 27)) || fail "too few images: $(cat "$work/local")"
  must clean
  must build --config=remote //...
  ran_remotely
  hashes "$workspace" | diff "$work/local" - || fail "other hashes"
}

# Runs the tests with the tag "$1" on the worker. One for each overlay of the matrix must pass.
test_rows() {
  local overlays
  overlays=$(rows | wc -l)
  must test //... --config=remote --keep_going --build_tests_only --test_tag_filters="$1" --test_summary=short
  ran_remotely
  (($(grep -cE '^//:.* +PASSED in' "$work/log") == overlays)) || { cat "$work/log"; fail "not $overlays rows"; }
}

every_base_opens_in_a_remote_test() { test_rows place; }

# The check of the images has run the actions.
every_base_opens_in_a_remote_action() { test_rows action; }

two_configurations_share_one_remote_action() {
  local strip=(--config=cached --experimental_output_paths=strip)
  must build //:source_file "${strip[@]}" -c fastbuild
  must build //:source_file "${strip[@]}" -c opt
  came_from_the_cache
}

check the_worker_sees_nothing_of_the_client
check remote_actions_make_the_same_images_as_local_ones
check every_base_opens_in_a_remote_test
check every_base_opens_in_a_remote_action
check two_configurations_share_one_remote_action
