#!/usr/bin/env bash
# Opens an overlay with the real QEMU tools and compares it with its base:
#
#   open.sh OVERLAY BASE [PATH]
#
# OVERLAY and BASE are paths of runfiles. $PLACE says where the overlay must be, which is checked.
# With PATH, it opens the disk at PATH instead; in a qcow2_test, the disk DISK.
set -euo pipefail

# --- begin runfiles.bash initialization v3 ---
set +e; f=bazel_tools/tools/bash/runfiles/runfiles.bash
# shellcheck disable=SC1090
source "${RUNFILES_DIR:-/dev/null}/$f" 2>/dev/null || \
  source "$(grep -sm1 "^$f " "${RUNFILES_MANIFEST_FILE:-/dev/null}" | cut -f2- -d' ')" 2>/dev/null || \
  source "$0.runfiles/$f" 2>/dev/null || \
  { echo "cannot find $f" >&2; exit 1; }; f=; set -e
# --- end runfiles.bash initialization v3 ---

fail() { echo "FAILED: $*" >&2; exit 1; }

overlay=$(rlocation "$1")
base=$(rlocation "$2")
case ${PLACE:-runfiles} in
  runfiles) [[ -n ${3:-} || $overlay == "$RUNFILES_DIR"/* ]] || fail "not in runfiles: $overlay" ;;
  # Bazel says that there is only a manifest, but its sandbox has the runfiles tree and no manifest.
  unannounced)
    [[ $overlay == "$RUNFILES_DIR"/* && ! -e ${RUNFILES_MANIFEST_FILE:-} ]] || fail "not in runfiles: $overlay" ;;
  # A path outside of the sandbox does not exist.
  hermetic)
    [[ $overlay == /execroot/*.runfiles/* && ! -L $overlay ]] || fail "not in a hermetic sandbox: $overlay" ;;
  manifest)
    [[ ${RUNFILES_MANIFEST_ONLY:-} == 1 && ! -e $RUNFILES_DIR/$1 ]] || fail "there is a runfiles tree" ;;
  real)
    overlay=$(realpath "$overlay")
    [[ $overlay == */bazel-out/*/bin/* && ! -L $overlay ]] || fail "not in the output tree: $overlay" ;;
  *) fail "unknown PLACE: $PLACE" ;;
esac

image=${3:-${DISK:-$overlay}}
qemu-img check -q -f qcow2 "$image"
# Opens the whole chain, read-only.
qemu-img compare -f qcow2 -F raw "$image" "$base"
# An empty disk would equal an empty base.
[[ -n $(head -c 16 "$base" | tr -d '\0') ]] || fail "the base is empty"
