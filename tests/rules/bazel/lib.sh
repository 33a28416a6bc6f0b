# shellcheck shell=bash
# What the scripts that test with the real Bazel share: a workspace with a prebuilt tool,
# Bazel in it, and checks. They source this, set a trap for `finish`, and call `prepare`.
#
# The workspace is a copy of ../../workspaces/matrix in a directory whose name has a space and
# letters that are not ASCII, with an output base there too. Nothing of Rust is built in it.
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../../..")
work=$(mktemp -d)
readonly root work
readonly workspace="$work/größe und raum/matrix"

prepare() {
  (cd "$root" && ./bazelw build //:qcow2-overlay) >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  mkdir -p "${workspace%/*}"
  cp -r "$root/tests/workspaces/matrix" "$root/tests/workspaces/node_images" "${workspace%/*}"
  # Links to the output trees of whoever built there.
  find "$workspace" -maxdepth 1 -name 'bazel-*' -delete
  cp "$root/bazel-bin/rules/qcow2-overlay" "$workspace/prebuilt/"
  cat >>"$workspace/.bazelrc" <<END
common --override_module=rules_qcow2=$root
common --extra_toolchains=//prebuilt:toolchain
END
}

finish() {
  bazel shutdown 2>/dev/null || true
  # Bazel's outputs are read-only directories.
  chmod -R u+w "$work"
  rm -rf "$work"
}

# Bazel in the workspace.
bazel() {
  (cd "$workspace" && "$root/bazelw" --output_user_root="$work/ausgabe größe" "$@")
}

# Bazel that must succeed, and Bazel that must fail. The output is in $work/log.
must() { bazel "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }; }
must_fail() { if bazel "$@" >"$work/log" 2>&1; then cat "$work/log"; return 1; fi; }

failed=0

# Runs the function "$1" as a check of that name.
check() {
  local status
  # Not behind an `if` or `||`: there set -e means nothing.
  set +e
  (set -e; "$1")
  status=$?
  set -e
  if ((status == 0)); then
    echo "PASSED $1"
  else
    echo "FAILED $1"
    # shellcheck disable=SC2034  # the scripts end with it
    failed=1
  fi
}

fail() { echo "$*" >&2; exit 1; }

# The last Bazel printed a line with the text "$1".
said() { grep -qF -- "$1" "$work/log" || { cat "$work/log"; fail "not said: $1"; }; }

# What the last Bazel ran, and where.
ran() { grep -oE '[0-9]+ process(es)?:.*' "$work/log"; }

# The overlays that are the rows of the matrix.
rows() { bazel query 'kind("qcow2_overlay rule", //:*)' 2>/dev/null; }

# Unpacks the outputs that Bazel keeps of a test of the package disks, if it has packed them,
# and prints the files.
outputs() {
  local found="$workspace/bazel-testlogs/disks/$1/test.outputs"
  if [[ -e $found/outputs.zip ]]; then
    (cd "$found" && python3 -m zipfile -e outputs.zip .)
  fi
  find "$found" -type f ! -name outputs.zip -printf '%P\n' 2>/dev/null | sort
}

# Hashes of all images of a workspace.
hashes() { (cd "$1/bazel-bin/" && find . -name '*.qcow2' -type f ! -path '*.runfiles/*' -print0 | sort -z | xargs -0 sha256sum); }
