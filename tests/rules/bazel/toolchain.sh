# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# A workspace that registers its own build of the tool needs no Rust toolchain.

a_registered_tool_needs_no_rust() {
  local found
  must build //:all
  bazel cquery 'deps(//:all)' >"$work/deps" 2>"$work/log" || { cat "$work/log"; fail "cquery failed"; }
  grep -q '^//prebuilt:qcow2-overlay' "$work/deps" || fail "the prebuilt tool is not used"
  if grep -E 'crates//|rules_qcow2.*//src|rules_rust' "$work/deps"; then fail "depends on these targets"; fi
  # The repositories that Bazel fetched, for this and all that ran before.
  found=$(ls "$work"/ausgabe*/*/external)
  grep -q 'rules_qcow2+' <<<"$found" || fail "these are not the repositories: $found"
  if grep -E 'crates|cargo' <<<"$found"; then fail "fetched: $found"; fi
}

check a_registered_tool_needs_no_rust
