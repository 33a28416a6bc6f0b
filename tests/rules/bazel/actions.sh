# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# What an overlay costs a build: an action that does not read the base if its size and format
# are known.

# Prints the inputs of the action that makes the overlay "$1".
inputs() {
  bazel aquery --include_commandline=false "mnemonic(Qcow2Create, $1)" 2>/dev/null |
    sed -nE 's/^ *Inputs: \[(.*)\]$/\1/p' | sort -u
}

a_base_of_known_size_and_format_is_not_an_input() {
  local found
  found=$(inputs //:same_package)
  [[ $found == prebuilt/qcow2-overlay ]] || fail "size and format declared: $found"
  # The base is that overlay, whose size and format its rule knows.
  found=$(inputs //other:middle)
  [[ $found == prebuilt/qcow2-overlay ]] || fail "base with Qcow2Info: $found"
  found=$(inputs //:other_package)
  [[ $found == *other/image.img* ]] || fail "nothing declared, but the base is not an input: $found"
}

# Builds with these arguments, and prints which processes ran. (bash ignores set -e in a `$(...)`.)
processes() { must build "$@" >&2 && ran; }

a_changed_base_of_known_size_and_format_rebuilds_nothing() {
  local base="$workspace/../node_images/os/installer.img" ran
  must build //:external_source
  touch "$base"
  ran=$(processes //:external_source)
  [[ $ran != *sandbox* ]] || fail "touched: $ran"
  echo "another line" >>"$base"
  ran=$(processes //:external_source)
  # Bazel itself recreates the link to the base.
  [[ $ran != *sandbox* ]] || fail "changed: $ran"
  # An unknown size is read again.
  must build //:source_file
  echo "another line" >>"$workspace/source.img"
  ran=$(processes //:source_file)
  [[ $ran == *"1 linux-sandbox"* ]] || fail "changed, but not read again: $ran"
}

two_configurations_share_one_action() {
  local cache=(--experimental_output_paths=strip --disk_cache="$work/cache") ran
  must clean
  ran=$(processes //:same_package -c fastbuild "${cache[@]}")
  [[ $ran == *"2 linux-sandbox"* ]] || fail "not run: $ran"
  # The genrule of the base runs again; the action of the overlay does not.
  ran=$(processes //:same_package -c opt "${cache[@]}")
  [[ $ran == *"1 disk cache hit"*"1 linux-sandbox"* ]] || fail "not shared: $ran"
  # Only path mapping makes them the same action.
  ran=$(processes //:same_package -c opt --disk_cache="$work/cache")
  [[ $ran != *"disk cache hit"* ]] || fail "shared without path mapping: $ran"
}

# In a sandbox, which has only the chain; without one; and with paths that name no configuration.
every_chain_becomes_one_image() {
  local option
  for option in --spawn_strategy=linux-sandbox --spawn_strategy=local --experimental_output_paths=strip; do
    must clean
    must build //converted:all "$option"
  done
}

two_configurations_share_one_image() {
  local cache=(--experimental_output_paths=strip --disk_cache="$work/cache_of_images") ran
  must clean
  must build //converted:external_chain -c fastbuild "${cache[@]}"
  # The genrule of the base runs again; the actions of the overlay and of the image do not.
  ran=$(processes //converted:external_chain -c opt "${cache[@]}")
  [[ $ran == *"2 disk cache hit"*"1 linux-sandbox"* ]] || fail "not shared: $ran"
}

the_bytes_of_an_image_depend_only_on_its_target() {
  local first
  must build //... -c fastbuild
  first=$(hashes "$workspace")
  (($(wc -l <<<"$first") >= 24)) || fail "too few images: $first"

  # In another workspace and output base, in another configuration, with another strategy.
  cp -r "${workspace%/*}" "$work/copy"
  find "$work/copy" -maxdepth 2 -name 'bazel-*' -delete
  (
    cd "$work/copy/matrix" || exit
    other=("$root/bazelw" --output_user_root="$work/other")
    "${other[@]}" build //... -c opt --spawn_strategy=local >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    hashes "$PWD" >"$work/hashes"
    "${other[@]}" shutdown
  )
  diff <(echo "$first") "$work/hashes" || fail "other bytes in another output base, configuration or strategy"
  if grep -rlF -e "$work" -e bazel-out --include='*.qcow2' "$workspace/bazel-bin/"; then
    fail "these contain an absolute path or one of a configuration"
  fi
}

check a_base_of_known_size_and_format_is_not_an_input
check a_changed_base_of_known_size_and_format_rebuilds_nothing
check two_configurations_share_one_action
check every_chain_becomes_one_image
check two_configurations_share_one_image
check the_bytes_of_an_image_depend_only_on_its_target
