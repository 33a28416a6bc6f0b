#!/usr/bin/env bash
# Tests the files that .github makes for a release of the last commit: the archive, the other
# files of the release, and the templates for the registry. Each check prints `PASSED name` or
# `FAILED name`.
set -euo pipefail
# shellcheck source=SCRIPTDIR/../bazel/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../bazel/lib.sh"
trap 'rm -rf "$work"' EXIT

readonly url=https://example.org/owner/rules_qcow2/releases/download/v1.2.3
readonly name=rules_qcow2-1.2.3
readonly clone=$work/clone dist=$work/dist

# Makes four files in place of the tools, in the directory "$1".
make_tools() {
  local platform
  for platform in linux_aarch64 linux_x86_64 macos_aarch64 macos_x86_64; do
    mkdir -p "$1/qcow2-overlay-$platform"
    echo "a tool for $platform" >"$1/qcow2-overlay-$platform/qcow2-overlay-$platform"
  done
}

archive() { "$clone/.github/release/archive" "$@"; }

# The archive of the arguments "$2"... must be refused with the message "$1".
must_refuse() {
  local message=$1
  shift
  if (cd "$clone" && archive "$@") >"$work/log" 2>&1; then fail "not refused: $*"; fi
  diff "$work/log" - <<<"archive: $message"
  [[ ! -e $work/refused/$name.tar.gz ]]
}

another_clone_gives_the_same_bytes() {
  local other="$work/größe und raum"
  git clone --quiet "$root" "$other"
  git -C "$other" config core.autocrlf true
  git -C "$other" config tar.umask 0
  echo '* text eol=crlf' | tee "$other/.git/info/attributes" >"$work/attributes"
  # A file that is not in the commit, and tools in another order, with other times.
  echo mine >"$other/rules/mine.bzl"
  make_tools "$other"
  touch -d 2001-02-03 "$other"/qcow2-overlay-*/*
  (
    cd "$other"
    umask 077
    export TZ=Asia/Kolkata LC_ALL=C.UTF-8 GZIP=-1
    git config --file "$work/gitconfig" core.attributesFile "$work/attributes"
    GIT_CONFIG_GLOBAL=$work/gitconfig .github/release/archive HEAD 1.2.3 "$url" "$work/again" \
      qcow2-overlay-{macos,linux}_{x86_64,aarch64}/*
  )
  (cd "$dist" && sha256sum ./*) >"$work/expected"
  (cd "$work/again" && sha256sum ./*) | diff "$work/expected" -
}

archive_has_only_what_a_consumer_needs() {
  tar -tzf "$dist/$name.tar.gz" >"$work/list"
  # Everything is in one directory, with these files and directories of the repository.
  if grep -v "^$name/" "$work/list"; then fail "not in $name"; fi
  sed "s|^$name/||; /^$/d; s|/.*|/|" "$work/list" | sort -u | diff - <(printf '%s\n' .bazelignore \
    BUILD.bazel Cargo.lock Cargo.toml LICENSE MODULE.bazel README.md rules/ src/ tests/)
  # Of the tests, only the module that the registry tests, which is small.
  if grep "^$name/tests/" "$work/list" | grep -vE "^$name/tests/(workspaces/(bcr/.*)?)?$"; then fail "it has these tests"; fi
  (($(stat -c %s "$dist/$name.tar.gz") < 200000))
  local file
  for file in rules/defs.bzl rules/toolchains/tools.bzl src/main.rs tests/workspaces/bcr/MODULE.bazel; do
    grep -qx "$name/$file" "$work/list" || fail "no $file"
  done
}

archived_files_are_those_of_the_commit() {
  tar -xzf "$dist/$name.tar.gz" -C "$work"
  # Content and permissions of each file but the table.
  (cd "$clone" && git ls-files -s) | grep -v rules/toolchains/tools.bzl | while read -r mode hash _ file; do
    if [[ -e $work/$name/$file ]]; then
      [[ $(git hash-object --no-filters "$work/$name/$file") == "$hash" ]] || fail "$file has other content"
      [[ $(stat -c %a "$work/$name/$file") == "${mode#100}" ]] || fail "$file has other permissions"
    fi
  done
}

table_has_every_tool() {
  python3 - "$work/$name/rules/toolchains/tools.bzl" "$dist" "$url" <<'END'
import hashlib, pathlib, sys

table, dist, url = sys.argv[1:]
scope = {}
exec(pathlib.Path(table).read_text(), scope)
tools = {}
for tool in sorted(pathlib.Path(dist).glob("qcow2-overlay-*")):
    sha256 = hashlib.sha256(tool.read_bytes()).hexdigest()
    tools[tool.name.removeprefix("qcow2-overlay-")] = {"sha256": sha256, "url": f"{url}/{tool.name}"}
assert list(scope["TOOLS"].items()) == list(tools.items()) and len(tools) == 4, scope["TOOLS"]
END
}

archive_refuses_wrong_arguments() {
  must_refuse "takes REF VERSION URL OUTPUT TOOL..., not 4 arguments" HEAD 1.2.3 "$url" "$work/refused"
  must_refuse "'v1.2' is not a version like 1.2.3" HEAD v1.2 "$url" "$work/refused" "$dist/qcow2-overlay-linux_x86_64"
  must_refuse "'nothing' is not a commit of this repository" nothing 1.2.3 "$url" "$work/refused" "$dist/qcow2-overlay-linux_x86_64"
  must_refuse "'README.md' is not named like qcow2-overlay-linux_x86_64" HEAD 1.2.3 "$url" "$work/refused" README.md
  must_refuse "'qcow2-overlay-linux_x86_64' is not a file" HEAD 1.2.3 "$url" "$work/refused" qcow2-overlay-linux_x86_64
}

# Runs release_prep.sh as release_ruleset.yaml does.
release_has_all_files() {
  make_tools "$clone"
  (cd "$clone" && GITHUB_REPOSITORY=owner/rules_qcow2 .github/workflows/release_prep.sh v1.2.3) >"$work/notes"
  grep -qxF 'bazel_dep(name = "rules_qcow2", version = "1.2.3")' "$work/notes"
  grep -q '^- Rust library' "$work/notes"
  find "$clone/dist" -type f -printf '%f\n' | sort | diff - <(printf '%s\n' qcow2-overlay-linux_aarch64 \
    qcow2-overlay-linux_x86_64 qcow2-overlay-macos_aarch64 qcow2-overlay-macos_x86_64 reference.md "$name.tar.gz")
  tar -xzOf "$clone/dist/$name.tar.gz" "$name/rules/toolchains/tools.bzl" |
    grep -qF '"https://github.com/owner/rules_qcow2/releases/download/v1.2.3/qcow2-overlay-macos_x86_64"'
}

release_needs_all_tools() {
  rm -r "$clone/qcow2-overlay-macos_aarch64" "$clone/dist"
  if (cd "$clone" && GITHUB_REPOSITORY=owner/rules_qcow2 .github/workflows/release_prep.sh v1.2.3) 2>"$work/log"; then
    fail "released with 3 tools"
  fi
  grep -q '^release_prep.sh: a release has 4 tools' "$work/log"
  [[ ! -e $clone/dist ]]
}

# The metadata and the URL in the registry are those of the release.
templates_name_the_release() {
  local commit
  commit=$(cd "$clone" && .github/release/templates owner rules_qcow2 somebody)
  [[ $(git -C "$clone" ls-tree --name-only "$commit") == .bcr ]]
  git -C "$clone" diff --quiet
  python3 - "$name" "$(git -C "$clone" show "$commit:.bcr/metadata.template.json")" \
    "$(git -C "$clone" show "$commit:.bcr/source.template.json")" <<'END'
import json, sys

name, metadata, source = sys.argv[1:]
metadata = json.loads(metadata)
assert metadata["homepage"] == "https://github.com/owner/rules_qcow2", metadata
assert metadata["repository"] == ["github:owner/rules_qcow2"], metadata
assert metadata["maintainers"] == [{"github": "somebody", "name": "somebody"}], metadata
for key, value in {"OWNER": "owner", "REPO": "rules_qcow2", "TAG": "v1.2.3", "VERSION": "1.2.3"}.items():
    source = source.replace("{%s}" % key, value)
source = json.loads(source)
assert source["strip_prefix"] == name, source
assert source["url"] == f"https://github.com/owner/rules_qcow2/releases/download/v1.2.3/{name}.tar.gz", source
END
}

git clone --quiet "$root" "$clone"
make_tools "$work/tools"
(cd "$clone" && archive HEAD 1.2.3 "$url" "$dist" "$work"/tools/*/*)

check another_clone_gives_the_same_bytes
check archive_has_only_what_a_consumer_needs
check archived_files_are_those_of_the_commit
check table_has_every_tool
check archive_refuses_wrong_arguments
check release_has_all_files
check release_needs_all_tools
check templates_name_the_release
((failed == 0))
