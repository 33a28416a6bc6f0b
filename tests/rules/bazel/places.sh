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

# Runs tests with a strategy, and fills a column with those whose names end in one of the words of
# "$3". Fails if Bazel fell back to another strategy.
test_place() {
  local place=$1 strategy=$2 kinds=$3
  shift 3
  bazel test //... --build_tests_only --keep_going --nocache_test_results --test_output=summary \
    --test_summary=short --spawn_strategy="$strategy" "$@" >"$work/log" 2>&1 || cat "$work/log"
  grep -q "processes:.* $strategy" "$work/log" || fail "no process ran with $strategy"
  fill "$place" "$kinds"
}

# Fills a column with the results of the last tests.
fill() {
  local place=$1 kinds=$2 row kind result
  for row in "${ROWS[@]}"; do
    row=$(row_name "$row")
    cells[$place,$row]=PASSED
    for kind in $kinds; do
      result=$(sed -nE "s|^//:${row}_$kind +([A-Z ]*[A-Z]).*|\1|p" "$work/log")
      [[ $result == PASSED ]] || cells[$place,$row]="$kind: ${result:-not run}"
    done
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
  local all="--test_tag_filters=place,disk" places overlays
  overlays=$(rows | wc -l)
  ((overlays == ${#ROWS[@]})) || fail "$overlays overlays, but ${#ROWS[@]} rows"

  places=("linux-sandbox" "processwrapper-sandbox" "hermetic sandbox" "local"
    "sandbox, \`--noenable_runfiles\`" "local, \`--noenable_runfiles\`" "real path" "other action" "\`bazel run\`")
  # Actions that an earlier part has run would not run again.
  must clean
  test_place "${places[0]}" linux-sandbox "test disk_test"
  fill "${places[7]}" action_test
  test_place "${places[1]}" processwrapper-sandbox "test disk_test" "$all"
  test_place "${places[3]}" local "test disk_test" "$all"
  test_place "${places[4]}" linux-sandbox "test disk_test" "$all" --noenable_runfiles --test_env=PLACE=unannounced
  test_place "${places[5]}" local "test disk_test" "$all" --noenable_runfiles --test_env=PLACE=manifest
  test_place "${places[6]}" local test --test_tag_filters=place --test_env=PLACE=real
  run_place "${places[8]}"
  must clean
  test_place "${places[2]}" linux-sandbox "test disk_test action_test" "${hermetic_sandbox[@]}" --test_env=PLACE=hermetic

  table | tee "$work/table"
  # The table of the README: from its head to the first line that is not part of it.
  awk '/^\| overlay on a base/ { inside = 1 } inside { if (!/^\|/) exit; print }' "$root/rules/README.md" |
    diff - "$work/table" || fail "the table of rules/README.md differs"
}

check every_base_opens_in_every_place
