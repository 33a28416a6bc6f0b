# shellcheck shell=bash disable=SC2154 # run, which sources this, sets root, work, workspace
# Opens an overlay of every kind of base in every place where it can be used, and prints the table
# of rules/README.md. For each cell qemu-img compares the overlay with its base.

# The rows: targets of ../../workspaces/matrix/BUILD.bazel, and their names in that table.
readonly ROWS=(
  "same_package              | generated in the same package"
  "other_package             | generated in another package"
  "source_file               | source file"
  "external_source           | external repository, source file"
  "external_generated        | external repository, generated"
  "chain                     | overlay: three deep, across packages"
  "external_chain            | overlay of an external repository"
  "other_configuration       | built in another configuration"
  "other_configuration_chain | overlay built in another configuration"
  "odd_path                  | path with spaces and non-ASCII letters"
  "odd_path_chain            | overlay in such a path"
)

declare -A cells

row_name() { echo "${1%%[ |]*}"; }

# Fills a column: tests with a strategy. Fails if Bazel fell back to another one.
test_place() {
  local place=$1 strategy=$2 suffix=$3 row
  shift 3
  bazel test //... --build_tests_only --keep_going --nocache_test_results --test_output=summary \
    --test_summary=short --spawn_strategy="$strategy" "$@" >"$work/log" 2>&1 || cat "$work/log"
  grep -q "processes:.* $strategy" "$work/log" || fail "no process ran with $strategy"
  for row in "${ROWS[@]}"; do
    row=$(row_name "$row")
    cells[$place,$row]=$(sed -nE "s|^//:${row}_$suffix +([A-Z ]*[A-Z]).*|\1|p" "$work/log")
  done
}

# Fills the column of `bazel run //:overlay.clone -- PATH`.
run_place() {
  local place=$1 row disk
  for row in "${ROWS[@]}"; do
    row=$(row_name "$row")
    disk="$work/disk of $row.qcow2"
    cells[$place,$row]=FAILED
    if must run "//:$row.clone" -- "$disk" && must run "//:${row}_open" -- "$disk"; then
      cells[$place,$row]=PASSED
    fi
  done
}

table() {
  local row place line name
  printf '| overlay on a base that is'
  printf ' | %s' "${places[@]}"
  printf ' |\n|---'
  for place in "${places[@]}"; do printf '|:-:'; done
  printf '|\n'
  for row in "${ROWS[@]}"; do
    name=$(row_name "$row")
    line="| ${row#*| }"
    for place in "${places[@]}"; do
      case ${cells[$place,$name]} in
        PASSED) line+=" | ✓" ;;
        *) line+=" | ${cells[$place,$name]:-not run}" ;;
      esac
    done
    printf '%s |\n' "$line"
  done
}

every_base_opens_in_every_place() {
  local test=(--test_tag_filters=place) places overlays
  overlays=$(rows | wc -l)
  ((overlays == ${#ROWS[@]})) || fail "$overlays overlays, but ${#ROWS[@]} rows"

  places=("linux-sandbox" "processwrapper-sandbox" "local" "manifest only"
    "real path" "other action" "\`bazel run\`")
  test_place "${places[0]}" linux-sandbox test "${test[@]}"
  test_place "${places[1]}" processwrapper-sandbox test "${test[@]}"
  test_place "${places[2]}" local test "${test[@]}"
  test_place "${places[3]}" local test "${test[@]}" --noenable_runfiles --test_env=PLACE=manifest
  test_place "${places[4]}" local test "${test[@]}" --test_env=PLACE=real
  must clean
  test_place "${places[5]}" linux-sandbox action_test --test_tag_filters=action
  run_place "${places[6]}"

  table | tee "$work/table"
  # The table of the README: from its head to the first line that is not part of it.
  awk '/^\| overlay on a base/ { inside = 1 } inside { if (!/^\|/) exit; print }' "$root/rules/README.md" |
    diff - "$work/table" || fail "the table of rules/README.md differs"
}

check every_base_opens_in_every_place
