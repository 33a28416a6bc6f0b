#!/usr/bin/env bash
# Checks an image that the rules made with the real QEMU tools:
#
#   image_test.sh IMAGE VIRTUAL_SIZE [CONTENT [BACKING_FORMAT]]
#
# The bytes of CONTENT, which is raw, must be read through the image.
set -euo pipefail

readonly image=$1 size=$2 content=${3:-} backing_format=${4:-}

fail() { echo "FAILED: $*" >&2; exit 1; }

# The value of `KEY: VALUE` in what qemu-img says of the image.
info() { qemu-img info "$image" | sed -n "s/^$1: //p"; }

qemu-img check -f qcow2 "$image"
[[ $(info "file format") == qcow2 ]] || fail "$(qemu-img info "$image")"
[[ $(info "virtual size") == *"($size bytes)" ]] || fail "virtual size $(info "virtual size")"
if [[ -z $backing_format ]]; then
  [[ -z $(info "backing file") ]] || fail "backing file $(info "backing file")"
else
  [[ $(info "backing file format") == "$backing_format" ]] || fail "format $(info "backing file format")"
  [[ $(info "backing file") != /* ]] || fail "an absolute path in a build output"
fi
if [[ -n $content ]]; then
  # qemu-img opens both read-only, and their backing chains.
  qemu-img compare -f qcow2 -F raw "$image" "$content"
  # The image is there whole under its real path too, beside its base.
  qemu-img compare -f qcow2 -F raw "$(realpath "$image")" "$content"
fi
