#!/usr/bin/env bash
# Tests a release of the files that git knows, as they are now, as a consumer uses it: from a
# registry, in a workspace of its own, with a prebuilt tool for this machine. Each check prints
# `PASSED name` or `FAILED name`.
set -euo pipefail
# shellcheck source=SCRIPTDIR/../bazel/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../bazel/lib.sh"
trap finish EXIT

platform=linux_$(uname -m)
readonly platform dist=$work/dist consumer=$work/consumer registry=$work/registry
# A commit of the working tree, if it differs from the last one.
ref=$(git -C "$root" stash create)
readonly ref=${ref:-HEAD}

build_tool() {
  mkdir "$work/tools"
  "$root/tests/static_tool" "$work/tools/qcow2-overlay-$platform" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
}

# Publishes version "$1" with the tool "$2" in the registry.
publish() {
  local version=$1 tool=$2 module=$registry/modules/rules_qcow2/$1 archive
  (cd "$root" && .github/release/archive "$ref" "$version" "file://$dist" "$dist" "$tool")
  archive=$dist/rules_qcow2-$version.tar.gz
  mkdir -p "$module"
  tar -xzOf "$archive" "rules_qcow2-$version/MODULE.bazel" |
    sed "s/^    name = \"rules_qcow2\",\$/& version = \"$version\",/" >"$module/MODULE.bazel"
  grep -q "version = \"$version\"" "$module/MODULE.bazel"
  cat >"$module/source.json" <<END
{
  "integrity": "sha256-$(openssl dgst -sha256 -binary "$archive" | base64 -w0)",
  "strip_prefix": "rules_qcow2-$version",
  "url": "file://$archive"
}
END
}

# Makes a workspace that uses version "$1": the module that the registry tests, without overrides.
new_consumer() {
  bazel shutdown >/dev/null 2>&1 || true
  chmod -R u+w "$consumer" "$work/output" 2>/dev/null || true
  rm -rf "$consumer" "$work/output"
  cp -r "$root/tests/workspaces/bcr" "$consumer"
  find "$consumer" -maxdepth 1 -name 'bazel-*' -delete
  cat >"$consumer/MODULE.bazel" <<END
bazel_dep(name = "platforms", version = "1.0.0")
bazel_dep(name = "rules_qcow2", version = "$1")
bazel_dep(name = "rules_shell", version = "0.6.1")
END
  echo "common --registry=file://$registry" >>"$consumer/.bazelrc"
}

# Runs Bazel in that workspace, in place of the function of lib.sh.
bazel() { (cd "$consumer" && "$root/bazelw" --output_user_root="$work/output" "$@"); }

# Prints the repositories that Bazel fetched.
repositories() { ls "$work"/output/*/external; }

# Prints the targets that have to be compiled for images and tests, each with its output.
compiled() {
  bazel aquery 'mnemonic(Rustc, deps(//:all))' "$@" >"$work/rustc" 2>"$work/log" || { cat "$work/log"; fail "aquery failed"; }
  sed -nE 's/^ *(Target|Outputs): //p' "$work/rustc" | paste - -
}

the_first_overlay_needs_no_rust() {
  new_consumer 1.0.0
  SECONDS=0
  must build //:node
  echo "The first overlay, from nothing: $SECONDS s"
  [[ $(head -c 4 "$consumer/bazel-bin/node.qcow2") == $'QFI\xfb' ]] || fail "no image"
  grep -q "qcow2_overlay_$platform" <(repositories) || fail "the tool was not fetched"
  if repositories | grep -E 'crates|debian_rust|qcow2_overlay_(linux|macos)' | grep -v "qcow2_overlay_$platform"; then
    fail "these were fetched"
  fi
  [[ -z $(compiled) ]] || fail "compiles: $(compiled)"
}

tests_and_bazel_run_need_no_rust() {
  must test //...
  grep -qE '^//:disks_test +PASSED' "$work/log" || fail "the test did not run"
  must run //:node.clone -- "$work/disk.qcow2"
  must run @rules_qcow2//:qcow2-overlay -- info "$work/disk.qcow2"
  printed "virtual size: 20 GiB"
  if repositories | grep -E 'crates|debian_rust'; then fail "these were fetched"; fi
}

tool_from_source_compiles_the_tool_once() {
  local tool='rules_qcow2.*//src:qcow2-overlay\b' found
  found=$(compiled --@rules_qcow2//rules:tool_from_source | grep "$tool") || fail "not from source"
  # Builds and tests use the same tool, whatever the compilation mode.
  (($(wc -l <<<"$found") == 1)) || fail "more than once: $found"
  diff <(echo "$found") <(compiled --@rules_qcow2//rules:tool_from_source -c opt | grep "$tool") || fail "again with -c opt"
}

a_tool_with_another_checksum_is_refused() {
  publish 1.0.1 "$work/tools/qcow2-overlay-$platform"
  echo >>"$dist/qcow2-overlay-$platform"
  new_consumer 1.0.1
  must_fail build //:node
  grep -qE "Error downloading .*/qcow2-overlay-$platform\].*: Checksum was [0-9a-f]+ but wanted" "$work/log" || { cat "$work/log"; fail "no message about the checksum"; }
  [[ ! -e $consumer/bazel-bin/node.qcow2 ]] || fail "an image was made"
}

a_platform_without_a_prebuilt_tool_compiles_it() {
  cp "$work/tools/qcow2-overlay-$platform" "$work/tools/qcow2-overlay-macos_x86_64"
  publish 1.0.2 "$work/tools/qcow2-overlay-macos_x86_64"
  new_consumer 1.0.2
  grep -q 'rules_qcow2.*//src:qcow2-overlay\b' <(compiled) || fail "not from source"
}

# Images need no tool for the target platform. A test does, and the message says how to get one.
a_test_for_a_platform_without_a_tool_is_refused() {
  publish 1.0.3 "$work/tools/qcow2-overlay-$platform"
  new_consumer 1.0.3
  cat >>"$consumer/BUILD.bazel" <<'END'
platform(
    name = "riscv",
    constraint_values = ["@platforms//os:linux", "@platforms//cpu:riscv64"],
)
END
  must build //:node --platforms=//:riscv
  must_fail build //:disks_test --platforms=//:riscv
  printed "//:disks_test: there is no qcow2-overlay for the target platform: for Linux or macOS build it with --@rules_qcow2//rules:tool_from_source, for others register a qcow2_toolchain"
}

# Only what the tool runs on has a toolchain.
a_system_without_a_tool_has_no_toolchain() {
  local flag
  cat >>"$consumer/BUILD.bazel" <<'END'
platform(
    name = "windows",
    constraint_values = ["@platforms//os:windows", "@platforms//cpu:x86_64"],
)
END
  for flag in "" --@rules_qcow2//rules:tool_from_source; do
    # shellcheck disable=SC2086 # no flag is no argument
    must_fail build //:node --host_platform=//:windows $flag
    printed "No matching toolchains found for types @@rules_qcow2+//rules:toolchain_type."
  done
}

the_tool_is_static() {
  local tool=$work/tools/qcow2-overlay-$platform
  ldd "$tool" 2>&1 | grep -q 'statically linked' || fail "$(ldd "$tool")"
}

build_tool
publish 1.0.0 "$work/tools/qcow2-overlay-$platform"
check the_tool_is_static
check the_first_overlay_needs_no_rust
check tests_and_bazel_run_need_no_rust
check tool_from_source_compiles_the_tool_once
check a_tool_with_another_checksum_is_refused
check a_platform_without_a_prebuilt_tool_compiles_it
check a_test_for_a_platform_without_a_tool_is_refused
check a_system_without_a_tool_has_no_toolchain
((failed == 0))
