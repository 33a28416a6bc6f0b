# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# What an overlay costs a build: where size and format of the base are known, nothing.

# The names of the input files of the action that makes the target "$1".
inputs() {
  bazel aquery --include_commandline=false "mnemonic(Qcow2Create, $1)" 2>/dev/null |
    sed -nE 's/^ *Inputs: \[(.*)\]$/\1/p' | sort -u
}

a_base_of_known_size_and_format_is_no_input() {
  local found
  found=$(inputs //:same_package)
  [[ $found == prebuilt/qcow2-overlay ]] || fail "size and format declared: $found"
  # Size and format come from the base, an overlay whose own base is declared.
  found=$(inputs //other:middle)
  [[ $found == prebuilt/qcow2-overlay ]] || fail "on such an overlay: $found"
  found=$(inputs //:other_package)
  [[ $found == *other/image.img* ]] || fail "nothing declared, and yet not read: $found"
}

# The `processes:` line of building the target "$1".
processes() {
  must build "$@"
  ran
}

a_changed_base_of_known_size_and_format_rebuilds_nothing() {
  local base="$workspace/../node_images/os/installer.img" ran
  must build //:external_source
  touch "$base"
  ran=$(processes //:external_source)
  [[ $ran != *sandbox* ]] || fail "touched: $ran"
  echo "another line" >>"$base"
  ran=$(processes //:external_source)
  # The link to it is made again, by Bazel itself.
  [[ $ran != *sandbox* ]] || fail "changed: $ran"
  # Where the size has to be read it is.
  must build //:source_file
  echo "another line" >>"$workspace/source.img"
  ran=$(processes //:source_file)
  [[ $ran == *"1 linux-sandbox"* ]] || fail "changed, of unknown size: $ran"
}

two_configurations_share_one_action() {
  local cache=(--experimental_output_paths=strip --disk_cache="$work/cache") ran
  must clean
  ran=$(processes //:same_package -c fastbuild "${cache[@]}")
  [[ $ran == *"2 linux-sandbox"* ]] || fail "not run: $ran"
  # The base, which a genrule makes, is made again; the overlay is not.
  ran=$(processes //:same_package -c opt "${cache[@]}")
  [[ $ran == *"1 disk cache hit"*"1 linux-sandbox"* ]] || fail "not shared: $ran"
  # It is path mapping that does it.
  ran=$(processes //:same_package -c opt --disk_cache="$work/cache")
  [[ $ran != *"disk cache hit"* ]] || fail "shared without path mapping: $ran"
}

# Each with nothing but its chain: in a sandbox, and under paths without a configuration.
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
  # The base is made again; the overlay and the image of both are not.
  ran=$(processes //converted:external_chain -c opt "${cache[@]}")
  [[ $ran == *"2 disk cache hit"*"1 linux-sandbox"* ]] || fail "not shared: $ran"
}

the_bytes_depend_on_the_target_alone() {
  local first second
  must build //... -c fastbuild
  first=$(hashes "$workspace")
  (($(wc -l <<<"$first") >= 24)) || fail "too few images: $first"
  must build //... -c opt --spawn_strategy=local
  second=$(hashes "$workspace")
  diff <(echo "$first") <(echo "$second") || fail "another configuration, another strategy"

  # Another workspace, another output base.
  cp -r "${workspace%/*}" "$work/copy"
  find "$work/copy" -maxdepth 2 -name 'bazel-*' -delete
  (
    cd "$work/copy/matrix" || exit
    other=("$root/bazelw" --output_user_root="$work/other")
    "${other[@]}" build //... >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    hashes "$PWD" >"$work/hashes"
    "${other[@]}" shutdown
  )
  diff <(echo "$first") "$work/hashes" || fail "another output base"
  if grep -rlF -e "$work" -e bazel-out --include='*.qcow2' "$workspace/bazel-bin/"; then fail "an absolute or configured path in these"; fi
}

check a_base_of_known_size_and_format_is_no_input
check a_changed_base_of_known_size_and_format_rebuilds_nothing
check two_configurations_share_one_action
check every_chain_becomes_one_image
check two_configurations_share_one_image
check the_bytes_depend_on_the_target_alone
