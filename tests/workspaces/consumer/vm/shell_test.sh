#!/usr/bin/env bash
# A chain of overlays reads as its base image; a blank disk has its size.
set -euo pipefail

# --- begin runfiles.bash initialization v3 ---
set +e; f=bazel_tools/tools/bash/runfiles/runfiles.bash
# shellcheck disable=SC1090
source "${RUNFILES_DIR:-/dev/null}/$f" 2>/dev/null || \
  source "$(grep -sm1 "^$f " "${RUNFILES_MANIFEST_FILE:-/dev/null}" | cut -f2- -d' ')" 2>/dev/null || \
  source "$0.runfiles/$f" 2>/dev/null || \
  { echo "cannot find $f" >&2; exit 1; }; f=; set -e
# --- end runfiles.bash initialization v3 ---

upgraded=$(rlocation "$1")
scratch=$(rlocation "$2")

qemu-img check "$upgraded"
qemu-img dd -O raw if="$upgraded" of="$TEST_TMPDIR/start" bs=512 count=2
grep -a 'boot 0' "$TEST_TMPDIR/start"

qemu-img check "$scratch"
qemu-img info "$scratch" | grep 'virtual size: 10 GiB'
