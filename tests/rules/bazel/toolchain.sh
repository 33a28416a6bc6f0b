# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# A workspace that registers its own build of the tool needs no Rust.

no_rust_is_fetched_or_built() {
  local found
  must clean --expunge
  must build //:all
  bazel cquery 'deps(//:all)' >"$work/deps" 2>"$work/log" || { cat "$work/log"; fail "no dependencies"; }
  grep -q '^//prebuilt:qcow2-overlay' "$work/deps" || fail "the prebuilt tool is not used"
  if grep -E 'crates//|rules_qcow2.*//src|rules_rust' "$work/deps"; then fail "depends on these"; fi
  # Repositories that were fetched.
  found=$(ls "$work"/ausgabe*/*/external)
  grep -q 'rules_qcow2+' <<<"$found" || fail "not the repositories: $found"
  if grep -E 'crates|cargo' <<<"$found"; then fail "fetched: $found"; fi
}

check no_rust_is_fetched_or_built
