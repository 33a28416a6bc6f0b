# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# Mistakes in BUILD files that only a real Bazel shows, for the macros or the tool find them: each is
# refused with a message of one line. tests/rules/analysis/mistakes has those that the rules find.

mistakes=()

# Adds the check mistake_$1: Bazel refuses a BUILD file that has "$2", which declares the target
# `x`, with a line that has all of the texts "$3"... in it. In a text, PKG stands for the package.
mistake() {
  local name=$1 package="$workspace/broken/$1" code=$2
  shift 2
  mistakes+=("$name")
  mkdir -p "$package"
  printf '%s\n' "${@//PKG/broken/$name}" >"$package/expected"
  cat >"$package/BUILD.bazel" <<END
load("@rules_qcow2//rules:defs.bzl", "qcow2_image", "qcow2_overlay", "qcow2_provision", "qcow2_test")

genrule(
    name = "raw",
    outs = ["raw.img"],
    cmd = "truncate -s 1M \$@",
)

qcow2_overlay(
    name = "known",
    size = "2M",
    backing = ":raw",
    backing_format = "raw",
)

$code
END
}

overlay() { mistake "$1" "qcow2_overlay(name = 'x', $2)" "${@:3}"; }
image() { mistake "$1" "qcow2_image(name = 'x', $2)" "${@:3}"; }
provision() { mistake "$1" "qcow2_provision(name = 'x', $2)" "${@:3}"; }
# A test of //disks:script.
disks() { mistake "$1" "qcow2_test(name = 'x', size = 'small', test = '//disks:script', testonly = True, $2)" "${@:3}"; }

overlay unknown_format "backing = ':raw', backing_format = 'vmdk'" "//PKG:x: " "'backing_format'" "'', 'raw' or 'qcow2'"
overlay size_number "backing = ':raw', size = 20" "attribute size: 20 is not a string: give one such as \"20G\""
overlay size_empty "backing = ':raw', size = ''" "attribute size: it is empty: give bytes, or a number with one of the suffixes"
overlay size_smaller_than_read "backing = ':raw', size = '512K'" "qcow2-overlay: SIZE (in a BUILD file: size) of 524288 bytes is smaller than the backing file \"raw.img\", of 1048576 bytes: its end would be cut off"
overlay compat_unknown "backing = ':raw', compat = '0.11'" "//PKG:x: " "'compat'" "'0.10' or '1.1'"
overlay base_is_an_overlay "backing = ':undeclared')
genrule(name = 'undeclared', outs = ['undeclared.qcow2'], cmd = 'qemu-img create -q -f qcow2 -u -b raw.img -F raw \$@ 1M'" "is itself an overlay of \"raw.img\", and --standalone allows none: in a BUILD file, give a qcow2_overlay or another target with Qcow2Info in place of a plain file"
overlay base_is_a_vmdk "backing = ':vmdk')
genrule(name = 'vmdk', outs = ['disk.vmdk'], cmd = 'qemu-img create -q -f vmdk \$@ 1M'" "it is a VMDK image, and a backing file must be raw or qcow2"
overlay base_is_compressed "backing = ':packed')
genrule(name = 'packed', srcs = [':raw'], outs = ['packed.img.gz'], cmd = 'gzip -c \$< > \$@'" "packed.img.gz\": it is compressed by gzip; unpack it: " "(in a BUILD file: a genrule with gzip -dc \$< | \$(QCOW2_OVERLAY) convert -q - \$@)" "backing_format = \"raw\""

image image_size_number "size = 21" "attribute size: 21 is not a string: give one such as \"20G\""
image src_size_smaller_than_read "src = ':raw', size = '512K'" "the size asked for is 524288 bytes, less than the 1048576 bytes of the source, whose end would be cut off" "(in a BUILD file: size)"
image src_is_an_overlay "src = ':undeclared')
genrule(name = 'undeclared', outs = ['undeclared.qcow2'], cmd = 'qemu-img create -q -f qcow2 -u -b raw.img -F raw \$@ 1M'" "is itself an overlay of \"raw.img\", and --standalone allows none: in a BUILD file, give a qcow2_overlay or another target with Qcow2Info in place of a plain file"
image src_is_a_vmdk "src = ':vmdk')
genrule(name = 'vmdk', outs = ['disk.vmdk'], cmd = 'qemu-img create -q -f vmdk \$@ 1M'" "disk.vmdk\": it is a VMDK image, neither raw nor qcow2"
image src_is_an_archive "src = ':packed')
genrule(name = 'packed', srcs = [':raw'], outs = ['packed.tar'], cmd = 'tar -chf \$@ \$<'" "packed.tar\": it is a tar archive; unpack the image in it: " "(in a BUILD file: a genrule with tar -xOf \$< IMAGE | \$(QCOW2_OVERLAY) convert -q - \$@)" "src_format = \"raw\""
image src_is_raw "src = ':raw', src_format = 'qcow2'" "raw.img\": it is not a qcow2 image: if it is raw, give -f raw (in a BUILD file: src_format"

provision provision_size_number "backing = ':raw', tool = '//provisioned:install', size = 22" "attribute size: 22 is not a string: give one such as \"20G\""
provision provision_of_an_archive "backing = ':packed', tool = '//provisioned:install')
genrule(name = 'packed', srcs = [':raw'], outs = ['packed.tar'], cmd = 'tar -chf \$@ \$<'" "packed.tar\": it is a tar archive; unpack the image in it: " "backing_format = \"raw\""

provision provision_src_is_a_link "backing = 'expected', tool = '//provisioned:install', srcs = [':link'])
genrule(name = 'link', outs = ['x.base/expected'], cmd = 'touch \$@'" "attribute srcs: //PKG:link makes \"PKG/x.base/expected\", and so would this target: give one of the two another name"
provision provision_disks_select "backing = ':raw', tool = '//provisioned:install', disks = select({'//conditions:default': {}})" "attribute disks: it is not a dictionary with fixed names, each of which is a target: give a select() for a value in it"
provision provision_copy_clone "backing = ':raw', tool = '//provisioned:install', copies = {'clone': ':raw'}" "attribute copies: \"clone\" is a name that every derived image has already: give another name"
provision provision_copy_base "backing = ':raw', tool = '//provisioned:install', copies = {'base': ':raw'}" "attribute copies: \"base\" is a name that every derived image has already: give another name"
provision provision_disk_and_copy "backing = ':raw', tool = '//provisioned:install', disks = {'A': ':known'}, copies = {'A': ':raw'}" "attribute copies: A is the name of a disk too: give one of them another name"
provision provision_wrong_way_round "backing = ':raw', tool = '//provisioned:install', disks = {':known': 'DATA'}" "attribute disks: \":known\" is not the name of a disk: names come first, images second"

disks disks_list "disks = [':known']" "//PKG:x: " "'disks'" "[\":known\"]"
disks wrong_way_round "disks = {':known': 'NODE'}" "attribute disks: \":known\" is not the name of a disk: names come first, images second"
disks disk_is_a_file "disks = {'NODE': 'BUILD.bazel'}" "attribute disks: NODE is //PKG:BUILD.bazel, which is not a qcow2 image with a known backing chain: make a qcow2_overlay with backing = \"//PKG:BUILD.bazel\""
disks disk_name_number "disks = {1: ':known'}" "attribute disks: 1 is not the name of a disk: names come first"
disks copies_wrong_way_round "copies = {':raw': 'VARS'}" "attribute copies: \":raw\" is not the name of a copy: names come first, files or directories second"
disks keep_unknown "disks = {'NODE': ':known'}, keep_disks = 'sometimes'" "//PKG:x: " "'keep_disks'" "'never', 'on_failure' or 'always'"
disks keep_as_unknown "disks = {'NODE': ':known'}, keep_disks = 'always', keep_disks_as = 'raw'" "//PKG:x: " "'keep_disks_as'" "'overlay' or 'image'"

# One build has all of them.
printf '//broken/%s:x\n' "${mistakes[@]}" >"$work/targets"
must_fail build --keep_going --target_pattern_file="$work/targets"
mv "$work/log" "$work/mistakes"

# One line of the log has all texts that it should have, and there is no image.
is_refused() {
  local lines text
  lines=$(<"$work/mistakes")
  while IFS= read -r text; do
    lines=$(grep -F -- "$text" <<<"$lines") || { grep -F "broken/$1" "$work/mistakes"; fail "no such line: $text"; }
  done <"$workspace/broken/$1/expected"
  [[ ! -e $workspace/bazel-bin/broken/$1/x.qcow2 ]] || fail "an image was left"
}

for name in "${mistakes[@]}"; do
  eval "mistake_$name() { is_refused $name; }"
  check "mistake_$name"
done
rm -r "$workspace/broken"
