# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# Provisioning that fails or is interrupted: what Bazel says, and that nothing is left.

provisioning() {
  mkdir -p "$workspace/failing"
  cat >"$workspace/failing/BUILD.bazel" <<'END'
load("@rules_qcow2//rules:defs.bzl", "qcow2_provision")
load("@rules_shell//shell:sh_binary.bzl", "sh_binary")

sh_binary(
    name = "tool",
    srcs = ["tool.sh"],
)

[
    qcow2_provision(
        name = name,
        outs = [name + ".log"],
        args = [name, "$(execpath {}.log)".format(name)],
        backing = "//:chain",
        tool = ":tool",
    )
    for name in ["fails", "killed", "leaves_it_open", "no_out", "waits"]
]

qcow2_provision(
    name = "environment",
    outs = ["environment.log"],
    args = ["environment", "$(execpath environment.log)"],
    backing = "//:chain",
    env = {"OF_THE_TARGET": "yes"},
    tool = ":tool",
)
END
  cat >"$workspace/failing/tool.sh" <<'END'
#!/usr/bin/env bash
set -euo pipefail
echo "the tool, which $1"
: >>"$DISK"
case $1 in
  fails) touch "$2"; exit 3 ;;
  killed) touch "$2"; kill -KILL $$ ;;
  leaves_it_open) touch "$2"; exec 3>>"$DISK"; sleep 60 >/dev/null 2>&1 & ;;
  no_out) ;;
  environment) env >"$2" ;;
  waits) sleep 600 ;;
esac
END
  chmod +x "$workspace/failing/tool.sh"
}

# Neither an image nor the directory of a disk, wherever the action ran.
nothing_is_left_of() {
  local left
  left=$(find "$work/ausgabe größe" \( -path "*/failing/$1.qcow2" -o -name '.qcow2-overlay-*' \) 2>/dev/null)
  [[ -z $left ]] || fail "left: $left"
}

readonly strategies=(--spawn_strategy=linux-sandbox --spawn_strategy=local)

# Builds the target "$1", which must fail with the lines "$2"...
fails_and_says() {
  local strategy text
  for strategy in "${strategies[@]}"; do
    must_fail build "//failing:$1" "$strategy"
    said "the tool, which $1"
    for text in "${@:2}"; do said "$text"; done
    nothing_is_left_of "$1"
  done
}

a_tool_that_fails() { fails_and_says fails "failed with status 3, so nothing of what it wrote is kept"; }

a_tool_that_is_killed() { fails_and_says killed "was ended by signal 9, so nothing of what it wrote is kept"; }

a_tool_that_leaves_the_disk_open() {
  fails_and_says leaves_it_open "a process that COMMAND started still has the disk open"
}

a_tool_that_does_not_write_an_out() {
  local strategy
  for strategy in "${strategies[@]}"; do
    must_fail build //failing:no_out "$strategy"
    said "output 'failing/no_out.log' was not created"
  done
}

an_interrupted_provisioning_leaves_nothing() {
  local strategy build_log=$work/interrupted disk
  for strategy in "${strategies[@]}"; do
    bazel build //failing:waits "$strategy" >"$build_log" 2>&1 &
    for _ in {1..600}; do
      disk=$(find "$work/ausgabe größe" -name DISK.qcow2 2>/dev/null) && [[ -n $disk ]] && break
      sleep 0.1
    done
    [[ -n $disk ]] || { cat "$build_log"; fail "it did not start"; }
    # As a terminal does it: to the client, which is not this process but below it.
    bazel_client_gets INT
    wait $! && fail "it succeeded"
    grep -q 'interrupted' "$build_log" || { cat "$build_log"; fail "not interrupted"; }
    nothing_is_left_of waits
  done
}

the_environment_is_that_of_every_action_and_of_the_target() {
  local log="$workspace/bazel-bin/failing/environment.log" text
  OF_THE_CLIENT=inherited must build //failing:environment --action_env=OF_EVERY_ACTION=yes --action_env=OF_THE_CLIENT
  for text in OF_THE_TARGET=yes OF_EVERY_ACTION=yes OF_THE_CLIENT=inherited; do
    grep -qx "$text" "$log" || { cat "$log"; fail "$text"; }
  done
}

# Sends a signal to the client of the build that runs.
bazel_client_gets() {
  local pid
  for pid in $(pgrep -f "build //failing:waits"); do
    if [[ $(<"/proc/$pid/comm") == bazel* ]]; then kill "-$1" "$pid"; fi
  done
}

provisioning
check a_tool_that_fails
check a_tool_that_is_killed
check a_tool_that_leaves_the_disk_open
check a_tool_that_does_not_write_an_out
check an_interrupted_provisioning_leaves_nothing
check the_environment_is_that_of_every_action_and_of_the_target
rm -r "$workspace/failing"
