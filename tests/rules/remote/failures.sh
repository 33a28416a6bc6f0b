# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# A worker that dies, and a service that is away.

# An image that takes some seconds to make, and its overlay.
slow() {
  mkdir -p "$workspace/slow"
  cat >"$workspace/slow/BUILD.bazel" <<'END'
load("@rules_qcow2//rules:defs.bzl", "qcow2_overlay")

genrule(
    name = "image",
    outs = ["image.img"],
    cmd = "sleep 3; echo slow > $@; truncate -s 1M $@",
)

qcow2_overlay(
    name = "overlay",
    backing = ":image",
)
END
}

the_process_of_an_action_is_killed() {
  (kill -KILL "$(runner)") &
  must build --config=remote --output_groups=+chain //slow:overlay
  wait $! || fail "nothing was killed"
  ran_remotely
  opens "$workspace/bazel-bin/slow/overlay.qcow2"
}

# With what it had in memory; what is in its store stays, as in any service. Bazel asks again
# for the operation, then for the action, as often as it is told to.
the_worker_dies_and_comes_back() {
  must clean
  (runner >/dev/null && kill_all worker && sleep 1 && start_worker) &
  must build --config=remote --remote_retries=20 --output_groups=+chain //slow:overlay
  wait $! || fail "nothing was killed"
  ran_remotely
  opens "$workspace/bazel-bin/slow/overlay.qcow2"
}

the_worker_dies_for_good() {
  must clean
  (runner >/dev/null && kill_all worker) &
  must_fail build --config=remote //slow:overlay
  wait $! || fail "nothing was killed"
  said "Executing genrule //slow:image failed: (Exit 34): UNAVAILABLE"
}

# As what comes next sees it: nothing listens.
without_the_service_a_build_fails_and_says_why() {
  must clean
  must_fail build --config=remote //slow:overlay
  said "Failed to query remote execution capabilities: UNAVAILABLE"
  [[ ! -e $workspace/bazel-bin/slow/overlay.qcow2 ]] || fail "an image was left"
}

without_the_service_a_build_is_local_if_that_was_asked_for() {
  local ran
  must build --config=remote --remote_local_fallback --output_groups=+chain //slow:overlay
  ran=$(ran)
  [[ $ran == *"2 local"* && $ran != *remote* ]] || fail "ran: $ran"
  opens "$workspace/bazel-bin/slow/overlay.qcow2"
}

it_goes_on_when_the_service_is_back() {
  must clean
  must build --config=remote //slow:overlay
  ran_remotely
}

slow
check the_process_of_an_action_is_killed
check the_worker_dies_and_comes_back
check the_worker_dies_for_good
known_port=$(port)
kill_all relay
check without_the_service_a_build_fails_and_says_why
check without_the_service_a_build_is_local_if_that_was_asked_for
start_worker
start_relay "$known_port"
check it_goes_on_when_the_service_is_back
rm -r "$workspace/slow"
