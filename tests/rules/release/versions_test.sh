#!/usr/bin/env bash
# Tests that one version of everything is named, wherever it is named. Each check prints
# `PASSED name` or `FAILED name`.
set -euo pipefail
# shellcheck source=SCRIPTDIR/../bazel/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../bazel/lib.sh"
trap 'rm -rf "$work"' EXIT
cd "$root"

# "MODULE VERSION" of each bazel_dep with a version in the files "$@", in order.
dependencies() {
  sed -nE 's/^ *bazel_dep\(name = "([^"]+)", version = "([^"]+)".*/\1 \2/p' "$@" | sort -u
}

# The text of the matrix "$2" in the YAML file "$1": 7.x 8.x
matrix() { sed -nE "s/^ *$2: \[(.*)\]$/\1/p" "$1" | tr -d ,; }

# The oldest Bazel that MODULE.bazel admits.
floor() { sed -nE 's/.*bazel_compatibility = \[">=([0-9.]+)"\].*/\1/p' MODULE.bazel; }

# Bazel takes the highest version that is named: with two, one of the files would be wrong.
each_module_has_one_version() {
  local files twice
  # Debian's modules have Debian's versions.
  mapfile -t files < <(git grep -l 'bazel_dep(name = ' -- ':!.bazelw')
  # So has each release of ours.
  dependencies "${files[@]}" | grep -v '^rules_qcow2 ' >"$work/all"
  twice=$(cut -d' ' -f1 "$work/all" | uniq -d)
  [[ -z $twice ]] || fail "more than one version: $(grep -nE "bazel_dep\(name = \"(${twice//$'\n'/|})\"" "${files[@]}")"
}

each_workspace_has_the_same_bazel() {
  local file
  for file in $(git ls-files '*.bazelversion'); do
    diff .bazelversion "$file"
  done
  # A workspace without it would have the newest.
  diff <(git ls-files '*.bazelversion' | xargs -n1 dirname) \
    <(git ls-files '*.bazelrc' | xargs -n1 dirname)
}

bazel_versions_are_those_that_are_tested() {
  local oldest
  oldest=$(floor)
  [[ -n $oldest ]] || fail "MODULE.bazel has no bazel_compatibility"
  # The floor, and the newest of each major version that the registry tests.
  [[ $(matrix .github/workflows/ci.yaml bazel) == "$oldest $(matrix .bcr/presubmit.yml bazel)" ]]
  [[ $(matrix .bcr/presubmit.yml bazel) == "${oldest%%.*}.x "* ]]
  grep -qE "Bazel $oldest( |\.$|,)" README.md || fail "README.md does not say Bazel $oldest"
}

# What Cargo.toml says of the oldest compiler is about the oldest rules_rust.
cargo_speaks_of_the_same_rust() {
  local oldest
  oldest=$(dependencies MODULE.bazel | sed -n 's/^rules_rust //p')
  grep -qF "$oldest" Cargo.toml || fail "Cargo.toml does not say what rules_rust $oldest has"
  oldest=$(sed -nE 's/^rust-version = "([0-9]+)\.([0-9]+)"$/\1, \2/p' Cargo.toml)
  grep -qxF "_MINIMUM_CARGO = ($oldest)" rules/crates/crates.bzl || fail "crates.bzl has another Cargo than Cargo.toml"
}

check each_module_has_one_version
check each_workspace_has_the_same_bazel
check bazel_versions_are_those_that_are_tested
check cargo_speaks_of_the_same_rust
((failed == 0))
