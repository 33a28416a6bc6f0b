# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# A worker that dies, and a service that cannot be reached.

# Adds a package with an image that takes some seconds to make, and its overlay.
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

a_killed_action_runs_again() {
  (kill -KILL "$(runner)") &
  must build --config=remote --output_groups=+chain //slow:overlay
  wait $! || fail "nothing was killed"
  ran_remotely
  opens "$workspace/bazel-bin/slow/overlay.qcow2"
}

# The worker loses what it has in memory and keeps its store, like any service. Bazel asks again for
# the operation, then for the action, as often as --remote_retries allows.
a_build_survives_a_restart_of_the_worker() {
  must clean
  (runner >/dev/null && kill_all worker && sleep 1 && start_worker) &
  must build --config=remote --remote_retries=20 --output_groups=+chain //slow:overlay
  wait $! || fail "nothing was killed"
  ran_remotely
  opens "$workspace/bazel-bin/slow/overlay.qcow2"
}

a_build_whose_worker_is_gone_fails_and_says_why() {
  must clean
  (runner >/dev/null && kill_all worker) &
  must_fail build --config=remote //slow:overlay
  wait $! || fail "nothing was killed"
  printed "Executing genrule //slow:image failed: (Exit 34): UNAVAILABLE"
}

# From here on nothing listens on the port.
without_the_service_a_build_fails_and_says_why() {
  must clean
  must_fail build --config=remote //slow:overlay
  printed "Failed to query remote execution capabilities: UNAVAILABLE"
  [[ ! -e $workspace/bazel-bin/slow/overlay.qcow2 ]] || fail "an image was left"
}

without_the_service_remote_local_fallback_builds_locally() {
  local ran
  must build --config=remote --remote_local_fallback --output_groups=+chain //slow:overlay
  ran=$(ran)
  [[ $ran == *"2 local"* && $ran != *remote* ]] || fail "ran: $ran"
  opens "$workspace/bazel-bin/slow/overlay.qcow2"
}

builds_work_again_when_the_service_is_back() {
  must clean
  must build --config=remote //slow:overlay
  ran_remotely
}

slow
check a_killed_action_runs_again
check a_build_survives_a_restart_of_the_worker
check a_build_whose_worker_is_gone_fails_and_says_why
known_port=$(port)
kill_all relay
check without_the_service_a_build_fails_and_says_why
check without_the_service_remote_local_fallback_builds_locally
start_worker
start_relay "$known_port"
check builds_work_again_when_the_service_is_back
rm -r "$workspace/slow"
