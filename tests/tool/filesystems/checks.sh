#!/usr/bin/env bash
# The checks of `run`, which starts this with the static tool as "$1" in name spaces of its own.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
binary=$1
readonly here binary
# shellcheck source=SCRIPTDIR/../../rules/bazel/lib.sh
source ../../rules/bazel/lib.sh
# Other users enter it, too.
chmod 755 "$TMPDIR" "$work"
# shellcheck disable=SC2034 # the parts use them
# Where each file system is mounted: fresh disks store the absolute path of their base.
readonly place=$work/place
# shellcheck disable=SC2034
# The sources of all images, and what the commands made of them on the machine's own file system.
readonly sources=$work/sources reference=$work/reference
# What runs the tool on a system that lacks something, and the directory for temporary files.
prefix=() temporary=.

# Runs the tool in the current directory.
tool() { env --unset=TEST_TMPDIR TMPDIR="$temporary" "${prefix[@]}" "$binary" "$@"; }

for part in commands.sh filesystems.sh refusals.sh systems.sh; do
  # shellcheck disable=SC1090
  source "$here/$part"
done
((failed == 0))
