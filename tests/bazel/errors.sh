# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# Mistakes that Bazel finds before a rule is analysed, or an action finds in a file. Those that
# the rules find are in ../rules.

# A package with one overlay whose attributes are "$@".
broken() {
  mkdir -p "$workspace/broken"
  {
    echo 'load("@rules_qcow2//rules:defs.bzl", "qcow2_overlay")'
    echo 'genrule(name = "image", outs = ["image.img"], cmd = "truncate -s 1M $@")'
    echo 'genrule(name = "undeclared", outs = ["undeclared.qcow2"],'
    echo '    cmd = "qemu-img create -q -f qcow2 -u -b image.img -F raw $@ 1M")'
    echo "qcow2_overlay(name = \"node\", $*)"
  } >"$workspace/broken/BUILD.bazel"
}

an_unknown_value_of_an_option() {
  broken 'backing = ":image", cluster_size = "3K"'
  must_fail build //broken:node
  said "//broken:node: invalid value in 'cluster_size' attribute: has to be one of '512', '1K',"
}

an_unknown_attribute() {
  broken 'backing = ":image", cluster = "64K"'
  must_fail build //broken:node
  said "//broken:node: no such attribute 'cluster' in 'qcow2_overlay' rule"
}

a_cycle() {
  broken 'backing = ":above")
qcow2_overlay(name = "above", backing = ":node"'
  must_fail build //broken:node
  said "in qcow2_overlay rule //broken:node: cycle in dependency graph:"
}

a_base_whose_own_base_is_not_declared() {
  broken 'backing = ":undeclared"'
  must_fail build //broken:node
  said "Creating qcow2 image bazel-out"
  said 'broken/undeclared.qcow2" is itself an overlay, of "image.img", which a plain file does not bring along: in the BUILD file, give a qcow2_overlay or another target with Qcow2Info'
  [[ ! -e $workspace/bazel-bin/broken/node.qcow2 ]] || fail "an image was left"
}

check an_unknown_value_of_an_option
check an_unknown_attribute
check a_cycle
check a_base_whose_own_base_is_not_declared
rm -r "$workspace/broken"
