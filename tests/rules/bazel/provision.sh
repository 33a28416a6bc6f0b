# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# qcow2_provision that fails or is interrupted: Bazel prints why, and nothing is left behind.

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

genrule(
    name = "vars",
    outs = ["vars.fd"],
    cmd = "echo factory settings > $@",
)

# Their tools write to both disks and to the copy before they fail.
[
    qcow2_provision(
        name = name,
        srcs = ["vars.fd"],
        outs = [name + ".log"],
        args = [name, "$(execpath {}.log)".format(name), "$(execpath vars.fd)"],
        backing = "//:chain",
        copies = {"VARS": ":vars"},
        disks = {"DATA": "//:chain"},
        env = {"ORIGINAL": "$(execpath vars.fd)"},
        timeout = 2,
        tool = ":tool",
    )
    for name in ["hangs", "machine_fails"]
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
echo "the tool, which $1" >&2
echo "the last words of $1"
: >>"$DISK"
case $1 in
  fails) touch "$2"; exit 3 ;;
  killed) touch "$2"; kill -KILL $$ ;;
  leaves_it_open) touch "$2"; exec 3>>"$DISK"; sleep 60 >/dev/null 2>&1 & ;;
  no_out) ;;
  environment) env >"$2" ;;
  waits) sleep 600 ;;
  hangs | machine_fails)
    diff "$3" "$VARS"
    diff "$ORIGINAL" "$VARS"
    echo changed >"$VARS"
    touch "$2"
    qemu-io -c "write -P 0x55 0 64K" "json:$DISK_BLOCKDEV"
    qemu-io -c "write -P 0x66 0 64K" "json:$DATA_BLOCKDEV"
    if [[ $1 == machine_fails ]]; then exit 3; fi
    sleep 600
    ;;
esac
END
  chmod +x "$workspace/failing/tool.sh"
}

# Fails if there is an image of the target "$1", or the temporary directory of a disk, wherever the
# action ran.
nothing_is_left_of() {
  local left
  left=$(find "$work/ausgabe größe" \( -path "*/failing/$1.qcow2" -o -path "*/failing/$1.DATA.qcow2" -o \
    -path "*/failing/$1.VARS" -o -name '.qcow2-overlay-*' \) 2>/dev/null)
  [[ -z $left ]] || fail "left: $left"
}

readonly strategies=(--spawn_strategy=linux-sandbox --spawn_strategy=local)

# Builds the target "$1", which must fail with the text "$2" after the output of the tool, and leave
# nothing.
fails_and_says() {
  local strategy
  for strategy in "${strategies[@]}"; do
    must_fail build "//failing:$1" "$strategy"
    printed "the tool, which $1"
    printed "the last words of $1"
    printed "$2"
    # The text comes last.
    sed -n "/the last words of $1/,\$p" "$work/log" | grep -qF -- "$2" || { cat "$work/log"; fail "out of order"; }
    nothing_is_left_of "$1"
  done
}

a_failing_tool_leaves_nothing() { fails_and_says fails "failed with status 3; its changes were discarded"; }

a_tool_of_a_machine_that_fails_leaves_nothing() {
  fails_and_says machine_fails "failed with status 3; its changes were discarded"
}

a_tool_that_hangs_is_terminated() {
  fails_and_says hangs "was terminated after 2 s (--timeout; in a BUILD file: timeout); its changes were discarded"
}

# The tool finds its files by the paths of an action, and its disks stay although it fails.
a_tool_runs_by_hand() {
  local place="$workspace/by hand" disk
  must_fail run //failing:machine_fails.provision -- "by hand"
  printed "the last words of machine_fails"
  printed "qcow2-overlay: the disks are in \"$place\""
  for disk in DISK:0x55 DATA:0x66; do
    in_root qemu-io -r -c "read -P ${disk#*:} 0 64K" "$place/${disk%:*}.qcow2"
    if grep -i "verification failed" "$work/log"; then fail "a disk does not hold what the tool wrote"; fi
  done
  [[ $(<"$place/VARS") == changed ]] || fail "the copy does not stay"
  [[ -n $(find "$place/execroot/bazel-out" -name machine_fails.log) ]] || fail "no log"
  # Nothing was built of the image.
  nothing_is_left_of machine_fails
  must_fail run //failing:machine_fails.provision -- "by hand"
  printed "by hand\" is not empty: give an empty directory, or a path where nothing is"
  must_fail run //failing:machine_fails.provision
  printed "give a directory for the disks, which is empty or does not exist: bazel run TARGET -- DIRECTORY"
  rm -r "$place"
}

a_killed_tool_leaves_nothing() { fails_and_says killed "was terminated by signal 9; its changes were discarded"; }

a_tool_that_leaves_the_disk_open_is_refused() {
  fails_and_says leaves_it_open "a process that COMMAND started still has the disk open"
}

a_tool_that_does_not_write_an_output_is_refused() {
  local strategy
  for strategy in "${strategies[@]}"; do
    must_fail build //failing:no_out "$strategy"
    printed "output 'failing/no_out.log' was not created"
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
    [[ -n $disk ]] || { cat "$build_log"; fail "the tool did not start"; }
    # As a terminal does. The client is a descendant of the process in the background.
    interrupt_client
    if wait $!; then fail "the build succeeded"; fi
    grep -q 'interrupted' "$build_log" || { cat "$build_log"; fail "not interrupted"; }
    nothing_is_left_of waits
  done
}

the_tool_has_the_action_env_and_the_env_of_the_target() {
  local log="$workspace/bazel-bin/failing/environment.log" text
  OF_THE_CLIENT=inherited must build //failing:environment --action_env=OF_EVERY_ACTION=yes --action_env=OF_THE_CLIENT
  for text in OF_THE_TARGET=yes OF_EVERY_ACTION=yes OF_THE_CLIENT=inherited; do
    grep -qx "$text" "$log" || { cat "$log"; fail "no $text"; }
  done
}

# Interrupts the client of the build of //failing:waits.
interrupt_client() {
  local pid
  for pid in $(pgrep -f "build //failing:waits"); do
    if [[ $(<"/proc/$pid/comm") == bazel* ]]; then kill -INT "$pid"; fi
  done
}

# All kinds of bases and originals, in the sandbox and without one.
a_machine_is_made_with_every_strategy() {
  local strategy place="$workspace/bazel-bin/provisioned"
  for strategy in "${strategies[@]}"; do
    must clean
    must build //provisioned:parts //provisioned:machine "$strategy"
    # shellcheck disable=SC2016  # the shell in the root expands it
    in_root sh -ec 'for disk; do qemu-io -r -c "read -P 0x22 512K 64K" "$disk"; done' - \
      "$place"/machine{,.DATA,.MORE}.qcow2
    if grep -i "verification failed" "$work/log"; then fail "a disk does not hold what the tool wrote"; fi
    [[ $(<"$place/machine.VARS") == $'vars\nchanged' && $(<"$place/machine.STATE/new") == new ]] || fail "the copies differ"
  done
}

provisioning
check a_failing_tool_leaves_nothing
check a_tool_of_a_machine_that_fails_leaves_nothing
check a_tool_that_hangs_is_terminated
check a_tool_runs_by_hand
check a_machine_is_made_with_every_strategy
check a_killed_tool_leaves_nothing
check a_tool_that_leaves_the_disk_open_is_refused
check a_tool_that_does_not_write_an_output_is_refused
check an_interrupted_provisioning_leaves_nothing
check the_tool_has_the_action_env_and_the_env_of_the_target
rm -r "$workspace/failing"
