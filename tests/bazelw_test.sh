#!/usr/bin/env bash
# Tests which Bazel bazelw runs, and that it passes on all arguments and the exit status.
set -euo pipefail

bazelw=$PWD/$1
work=$TEST_TMPDIR/work
mkdir -p "$work/bin"
cd "$work"

# Makes the command "$1" with the version "$2". It prints its name and its arguments, one a line,
# and exits with 37.
# shellcheck disable=SC2016  # the recorder expands them
recorder() {
  printf '#!/bin/sh\nif [ "$1" = --version ]; then echo "%s"; exit; fi\n' "$2" >"$1"
  printf 'printf "%%s\\n" "%s" "$@"\nexit 37\n' "$(basename "$1")" >>"$1"
  chmod +x "$1"
}

# The command "$1" must run in the environment "$2"..., with arguments that a careless script would
# split or drop.
expect() {
  local status=0
  env -u BAZEL "${@:2}" "$bazelw" build '//a b:c' '' '--x=*' >out 2>err || status=$?
  printf '%s\n' "$1" build '//a b:c' '' '--x=*' >expected
  diff expected out
  [[ $status == 37 ]] || { echo "status $status of $1"; cat err; exit 1; }
}

recorder "$work/mine" "no version"
recorder bin/bazel "bazel 8.4.2"
expect mine BAZEL="$work/mine" PATH="$work/bin:$PATH"
expect bazel PATH="$work/bin:$PATH"
recorder bin/bazel "bazel 7.4.1-pre"
expect bazel PATH="$work/bin:$PATH"
recorder bin/bazelisk "bazelisk"
expect bazelisk PATH="$work/bin:$PATH"

# An old Bazel is not used. Without apt-get, bazelw then has nothing to run.
rm bin/bazelisk
recorder bin/bazel "bazel 7.4.0"
ln -s "$(command -v bash)" "$(command -v env)" bin
status=0
env -u BAZEL PATH="$work/bin" "$bazelw" build >out 2>err || status=$?
[[ $status == 1 && ! -s out ]]
diff err - <<<"bazelw: needs Bazel 7.4.1 or newer: install bazelisk, or set BAZEL to a bazel"
echo PASSED
