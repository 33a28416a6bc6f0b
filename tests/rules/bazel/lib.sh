# shellcheck shell=bash
# Shared by the scripts that test with the real Bazel: a workspace with a prebuilt tool, Bazel
# in it, and checks. A script sources this file, sets a trap for `finish`, and calls `prepare`.
#
# The workspace is a copy of ../../workspaces/matrix. Its path and that of its output base have
# a space and letters that are not ASCII. It compiles no Rust.
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../../..")
work=$(mktemp -d)
readonly root work
# shellcheck source=SCRIPTDIR/../../../.ci/need.sh
source "$root/.ci/need.sh"
readonly workspace="$work/größe und raum/matrix"

# Bazel's sandbox that has of this machine only what is mounted. Inputs are hard links or copies.
# shellcheck disable=SC2034  # the parts use it
readonly hermetic_sandbox=(--spawn_strategy=linux-sandbox --experimental_use_hermetic_linux_sandbox
  --sandbox_add_mount_pair=/bin --sandbox_add_mount_pair=/lib --sandbox_add_mount_pair=/lib64
  --sandbox_add_mount_pair=/usr)

prepare() {
  need pgrep procps
  need python3 python3
  (cd "$root" && ./bazelw build //:qcow2-overlay) >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  mkdir -p "${workspace%/*}"
  cp -r "$root/tests/workspaces/matrix" "$root/tests/workspaces/node_images" "${workspace%/*}"
  # Bazel's links, if somebody built there.
  find "$workspace" -maxdepth 1 -name 'bazel-*' -delete
  cp "$root/bazel-bin/rules/qcow2-overlay" "$workspace/prebuilt/"
  cat >>"$workspace/.bazelrc" <<END
common --override_module=rules_qcow2=$root
common --extra_toolchains=//prebuilt:toolchain
END
}

finish() {
  bazel shutdown 2>/dev/null || true
  # Bazel makes the directories of outputs read-only.
  chmod -R u+w "$work"
  rm -rf "$work"
}

# Runs Bazel in the workspace.
bazel() {
  (cd "$workspace" && "$root/bazelw" --output_user_root="$work/ausgabe größe" "$@")
}

# Runs Bazel, which must succeed or must fail. The output is in $work/log.
must() { bazel "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }; }
must_fail() { if bazel "$@" >"$work/log" 2>&1; then cat "$work/log"; return 1; fi; }

# Runs a command in the root where Bazel runs. It must succeed.
in_root() {
  (cd "$root" && ./bazelw run //tests:shell -- "$@") >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
}

failed=0

# Runs the function "$1", with arguments, as a check of that name.
check() {
  local start=$SECONDS status
  # Not in an `if` or before a `||`, where bash ignores set -e.
  set +e
  (set -e; "$@")
  status=$?
  set -e
  if ((status == 0)); then
    echo "PASSED $* ($((SECONDS - start)) s)"
  else
    echo "FAILED $* ($((SECONDS - start)) s)"
    # shellcheck disable=SC2034  # the exit status of the scripts
    failed=1
  fi
}

fail() { echo "$*" >&2; exit 1; }

# Fails unless the last Bazel printed a line with the text "$1".
printed() { grep -qF -- "$1" "$work/log" || { cat "$work/log"; fail "no such line: $1"; }; }

# Prints how many processes the last Bazel ran, and where.
ran() { grep -oE '[0-9]+ process(es)?:.*' "$work/log"; }

# Prints the overlays that are the rows of the matrix; fails if there are none.
rows() { bazel query 'kind("qcow2_overlay rule", //:*)' 2>/dev/null | grep .; }

# Prints the files that Bazel keeps as undeclared outputs of a test of the package disks. Unpacks
# them if Bazel has packed them.
outputs() {
  local found="$workspace/bazel-testlogs/disks/$1/test.outputs"
  if [[ -e $found/outputs.zip ]]; then
    (cd "$found" && python3 -m zipfile -e outputs.zip .)
  fi
  find "$found" -type f ! -name outputs.zip -printf '%P\n' 2>/dev/null | sort
}

# Prints the hashes of all images in the output tree of the workspace "$1".
hashes() { (cd "$1/bazel-bin/" && find . -name '*.qcow2' -type f ! -path '*.runfiles/*' -print0 | sort -z | xargs -0 sha256sum); }
