#!/usr/bin/env bash
# Checks an image of the rules with the real QEMU tools:
#
#   image_test.sh IMAGE VIRTUAL_SIZE [CONTENT [BACKING_FORMAT]]
#
# The image must read as the raw file CONTENT. Without BACKING_FORMAT it must have no backing file.
# With $COMPRESSION all its clusters must be compressed that way.
set -euo pipefail

readonly image=$1 size=$2 content=${3:-} backing_format=${4:-}

fail() { echo "FAILED: $*" >&2; exit 1; }

# Prints the VALUE of the line `KEY: VALUE` of qemu-img info.
info() { qemu-img info "$image" | sed -n "s/^$1: //p"; }

checked=$(qemu-img check -f qcow2 "$image")
if [[ -n ${COMPRESSION:-} ]]; then
  [[ $checked == *", 100.00% compressed clusters"* ]] || fail "$checked"
  qemu-img info "$image" | grep -x " *compression type: $COMPRESSION"
fi
[[ $(info "file format") == qcow2 ]] || fail "$(qemu-img info "$image")"
[[ $(info "virtual size") == *"($size bytes)" ]] || fail "virtual size $(info "virtual size")"
if [[ -z $backing_format ]]; then
  [[ -z $(info "backing file") ]] || fail "backing file $(info "backing file")"
else
  [[ $(info "backing file format") == "$backing_format" ]] || fail "format $(info "backing file format")"
  [[ $(info "backing file") != /* ]] || fail "a build output has an absolute path"
fi
if [[ -n $content ]]; then
  # qemu-img opens both files and their backing chains read-only.
  qemu-img compare -f qcow2 -F raw "$image" "$content"
  # The image opens under its real path, too, where its base is beside it.
  qemu-img compare -f qcow2 -F raw "$(realpath "$image")" "$content"
fi
