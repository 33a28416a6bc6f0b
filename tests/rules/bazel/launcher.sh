# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# bazelw works in workspaces that know nothing of its private root.

# Runs Bazel in a workspace with the MODULE.bazel "$1" and a target `x`. The output is in $work/log.
elsewhere() {
  local directory="$work/elsewhere"
  mkdir -p "$directory"
  echo "$1" >"$directory/MODULE.bazel"
  echo 'genrule(name = "x", outs = ["x.txt"], cmd = "echo x > $@")' >"$directory/BUILD.bazel"
  (cd "$directory" && "$root/bazelw" --output_user_root="$work/elsewhere.output" "${@:2}") >"$work/log" 2>&1
}

a_workspace_without_dependencies_builds() {
  elsewhere "" build //:x || { cat "$work/log"; fail "does not build"; }
}

modules_come_from_the_registry_that_the_workspace_names() {
  local registry="$work/registry" extra="$work/registry/modules/extra/1.0" dep='bazel_dep(name = "extra", version = "1.0")'
  mkdir -p "$extra" "$work/extra"
  echo '{}' >"$registry/bazel_registry.json"
  # It depends on a module of the root, in a version that the registry does not have.
  printf '%s\n' 'module(name = "extra", version = "1.0")' 'bazel_dep(name = "rules_shell", version = "0.6.1")' |
    tee "$extra/MODULE.bazel" >"$work/extra/MODULE.bazel"
  echo 'exports_files(["MODULE.bazel"], visibility = ["//visibility:public"])' >"$work/extra/BUILD.bazel"
  echo "{\"type\": \"local_path\", \"path\": \"$work/extra\"}" >"$extra/source.json"
  elsewhere "$dep" build @extra//:MODULE.bazel --registry="file://$registry" || { cat "$work/log"; fail "not found"; }
  # It comes from nowhere else.
  if elsewhere "$dep" build @extra//:MODULE.bazel --registry="file://$work/none"; then fail "built without the registry"; fi
  printed "module extra@1.0 not found in registries"
}

check a_workspace_without_dependencies_builds
check modules_come_from_the_registry_that_the_workspace_names
(cd "$work/elsewhere" && "$root/bazelw" --output_user_root="$work/elsewhere.output" shutdown)
