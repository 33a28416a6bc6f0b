# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# Users decide where actions run, with tags, exec_properties and Bazel's options.

tagged() {
  mkdir -p "$workspace/tagged"
  cat >"$workspace/tagged/BUILD.bazel" <<'END'
load("@rules_qcow2//rules:defs.bzl", "qcow2_image", "qcow2_overlay", "qcow2_provision", "qcow2_test")

qcow2_overlay(
    name = "overlay",
    backing = "//:source.img",
    tags = ["no-remote-exec"],
)

qcow2_image(
    name = "image",
    size = "1M",
    exec_properties = {"OSFamily": "linux"},
    tags = ["no-remote"],
)

qcow2_provision(
    name = "provisioned",
    outs = ["provisioned.log"],
    args = ["$(execpath provisioned.log)"],
    backing = "//:chain",
    exec_properties = {"OSFamily": "linux"},
    tags = ["no-remote-cache", "requires-kvm"],
    tool = "//provisioned:install",
)

qcow2_test(
    name = "test",
    size = "small",
    args = ["private"],
    disks = {"DISK": "//:same_package"},
    tags = ["no-remote-exec"],
    test = "//disks:script",
)
END
}

# Prints the execution requirements of the action that makes the image "$1" of the package.
requirements() {
  bazel aquery --include_commandline=false "mnemonic('Qcow2.*', //tagged:$1)" "${@:2}" 2>/dev/null |
    sed -nE 's/^ *ExecutionInfo: \{(.*)\}$/\1/p'
}

tags_of_a_target_apply_to_its_actions() {
  local ran found
  must build --config=remote //tagged:image //tagged:overlay
  ran=$(ran)
  [[ $ran == *" 2 linux-sandbox"* && $ran != *remote* ]] || fail "images: $ran"
  must test --config=remote //tagged:test
  grep -qE 'processes:.* linux-sandbox' "$work/log" || fail "test: $(ran)"
  must build --config=remote //tagged:all
  found=$(requirements image)
  [[ $found == *no-remote:* && $found == *OSFamily:\ linux* ]] || fail "$found"
}

tags_of_a_provisioned_image_apply_to_its_action() {
  local found tag
  found=$(requirements provisioned)
  for tag in no-remote-cache: requires-kvm: "OSFamily: linux"; do
    [[ $found == *"$tag"* ]] || fail "$tag: $found"
  done
}

users_can_remove_all_execution_requirements() {
  local found
  found=$(requirements overlay)
  [[ $found == "no-remote-exec: '', supports-path-mapping: ''" ]] || fail "$found"
  found=$(requirements overlay --modify_execution_info=Qcow2Create=-supports-path-mapping,Qcow2Create=-no-remote-exec,Qcow2Create=+no-cache)
  [[ $found == "no-cache: ''" ]] || fail "$found"
}

tagged
check tags_of_a_target_apply_to_its_actions
check tags_of_a_provisioned_image_apply_to_its_action
check users_can_remove_all_execution_requirements
rm -r "$workspace/tagged"
