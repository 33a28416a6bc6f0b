# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# What Bazel transfers for an overlay of a base of 256 MB, and for a test with that overlay. The
# relay counts the bytes. Prints the table of rules/remote_execution.md, and compares it.

# Adds a package with such bases, overlays and tests.
big() {
  local package="$workspace/big"
  mkdir -p "$package"
  echo "a large image" >"$package/source.img"
  # Sparse on the disk, but Bazel transfers all bytes.
  truncate -s 256M "$package/source.img"
  cat >"$package/BUILD.bazel" <<'END'
load("@rules_qcow2//rules:defs.bzl", "qcow2_overlay", "qcow2_test")

genrule(
    name = "built_image",
    outs = ["built.img"],
    cmd = "echo a large image > $@; truncate -s 256M $@",
)

[
    (
        qcow2_overlay(
            name = name,
            backing = image,
        ),
        qcow2_overlay(
            name = name + "_declared",
            size = "256M",
            backing = image,
            backing_format = "raw",
        ),
        qcow2_test(
            name = name + "_test",
            size = "small",
            args = ["private"],
            disks = {"DISK": name + "_declared"},
            test = "//disks:script",
        ),
    )
    for name, image in [
        ("source", "source.img"),
        ("built", ":built_image"),
    ]
]
END
}

# Prints a number of bytes, rounded so that the version of Bazel makes no difference.
amount() { awk -v n="$1" 'BEGIN { if (n < 1e5) print "< 0.1 MB"; else if (n < 2^28) printf "%.1f MB\n", n / 1e6; else printf "%d MB\n", n / 2^20 }'; }

# Runs the Bazel command "$3"... and adds the row "$1" to the table. Fails unless uploads and
# downloads are those of "$2": each is `little`, or the `base`.
row() {
  local what=$1 expected=$2 before up down got
  shift 2
  must clean
  before=$(wc -l <"$work/store/calls")
  must "$@"
  # The relay counts a call when it ends, which can be just after Bazel.
  sleep 0.3
  read -r up down < <(tail -n "+$((before + 1))" "$work/store/calls" |
    awk '{ up += $2; down += $3 } END { print up + 0, down + 0 }')
  printf '| %s | %s | %s |\n' "$what" "$(amount "$up")" "$(amount "$down")" >>"$work/table"
  for got in "$up" "$down"; do
    if ((got < 1 << 20)); then echo little; elif ((got >= 1 << 28)); then echo base; else echo "$got"; fi
  done | paste -sd ' ' | diff <(echo "$expected") - || fail "$what: $up bytes up, $down down"
}

a_base_is_transferred_only_when_needed() {
  local minimal=(--config=remote --remote_download_minimal)
  # The tool and the files of every test are in the cache, as they are after any first build.
  must test --config=remote //disks:private_test
  cat >"$work/table" <<'END'
| base of 256 MB | | uploaded | downloaded |
|---|---|--:|--:|
END
  row "source file | overlay, size and format declared" "little little" build --config=remote //big:source_declared
  row "source file | overlay, not declared, base not in the cache" "base little" build --config=remote //big:source
  row "source file | overlay, not declared, base in the cache" "little little" build --config=remote //big:source
  echo "another large image" >"$workspace/big/source.img"
  truncate -s 256M "$workspace/big/source.img"
  row "source file | test, base not in the cache" "base little" test --config=remote //big:source_test
  row "source file | test, base in the cache" "little little" test --config=remote //big:source_test
  row "built remotely | overlay, size and format declared, \`--remote_download_minimal\`" "little little" build "${minimal[@]}" //big:built_declared
  row "built remotely | overlay, not declared, \`--remote_download_minimal\`" "little little" build "${minimal[@]}" //big:built
  row "built remotely | test" "little little" test --config=remote //big:built_test
  row "built remotely | \`bazel build\` of the overlay" "little little" build --config=cached //big:built_declared
  row "built remotely | the same with \`--output_groups=+chain\`" "little base" build --config=cached --output_groups=+chain //big:built_declared
  cat "$work/table"
  # The table of that page: from its head to the first line that is not part of it.
  awk '/^\| base of 256 MB/ { inside = 1 } inside { if (!/^\|/) exit; print }' "$root/rules/remote_execution.md" |
    diff - "$work/table" || fail "the table of rules/remote_execution.md differs"
}

big
check a_base_is_transferred_only_when_needed
rm -r "$workspace/big"
