#!/usr/bin/env bash
# Tests that all files of the repository name the same versions. Each check prints `PASSED name`
# or `FAILED name`.
set -euo pipefail
# shellcheck source=SCRIPTDIR/../bazel/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../bazel/lib.sh"
trap 'rm -rf "$work"' EXIT
cd "$root"

# Prints "MODULE VERSION" for each bazel_dep with a version in the files "$@", sorted.
dependencies() {
  sed -nE 's/^ *bazel_dep\(name = "([^"]+)", version = "([^"]+)".*/\1 \2/p' "$@" | sort -u
}

# Prints the list "$2" of the matrix in the YAML file "$1", such as: 7.x 8.x
matrix() { sed -nE "s/^ *$2: \[(.*)\]$/\1/p" "$1" | tr -d ,; }

# Prints the oldest Bazel that MODULE.bazel admits.
floor() { sed -nE 's/.*bazel_compatibility = \[">=([0-9.]+)"\].*/\1/p' MODULE.bazel; }

# Bazel takes the highest version: with two, one of the files would be wrong.
each_module_has_one_version() {
  local files twice
  # The modules of bazelw's root have Debian's versions.
  mapfile -t files < <(git grep -l 'bazel_dep(name = ' -- ':!.bazelw')
  # The README and tests name different versions of rules_qcow2 itself.
  dependencies "${files[@]}" | grep -v '^rules_qcow2 ' >"$work/all"
  twice=$(cut -d' ' -f1 "$work/all" | uniq -d)
  [[ -z $twice ]] || fail "more than one version: $(grep -nE "bazel_dep\(name = \"(${twice//$'\n'/|})\"" "${files[@]}")"
}

each_workspace_has_the_same_bazel() {
  local file
  for file in $(git ls-files '*.bazelversion'); do
    diff .bazelversion "$file"
  done
  # A workspace without the file would use the newest Bazel.
  diff <(git ls-files '*.bazelversion' | xargs -n1 dirname) \
    <(git ls-files '*.bazelrc' | xargs -n1 dirname)
}

ci_tests_the_bazel_versions_that_are_supported() {
  local oldest
  oldest=$(floor)
  [[ -n $oldest ]] || fail "MODULE.bazel has no bazel_compatibility"
  # CI tests the oldest one, and the newest of each major version that the registry tests.
  [[ $(matrix .github/workflows/ci.yaml bazel) == "$oldest $(matrix .bcr/presubmit.yml bazel)" ]]
  [[ $(matrix .bcr/presubmit.yml bazel) == "${oldest%%.*}.x "* ]]
  grep -qE "Bazel $oldest( |\.$|,)" README.md || fail "README.md does not name Bazel $oldest"
}

# Cargo.toml names the oldest rules_rust, whose compiler must be new enough.
cargo_toml_agrees_with_module_bazel_and_crates_bzl() {
  local oldest
  oldest=$(dependencies MODULE.bazel | sed -n 's/^rules_rust //p')
  grep -qF "$oldest" Cargo.toml || fail "Cargo.toml does not name rules_rust $oldest"
  oldest=$(sed -nE 's/^rust-version = "([0-9]+)\.([0-9]+)"$/\1, \2/p' Cargo.toml)
  grep -qxF "_MINIMUM_CARGO = ($oldest)" rules/crates/crates.bzl || fail "crates.bzl and Cargo.toml name different versions of Cargo"
}

check each_module_has_one_version
check each_workspace_has_the_same_bazel
check ci_tests_the_bazel_versions_that_are_supported
check cargo_toml_agrees_with_module_bazel_and_crates_bzl
((failed == 0))
