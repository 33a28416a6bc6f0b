#!/usr/bin/env bash
set -euo pipefail
readonly boot=$1
shift
before=$(sha256sum "$@")

# Boots node $1 from its disk $1 times.
run_node() {
  local blockdev=NODE$1_BLOCKDEV
  for ((count = 1; count <= $1; count++)); do
    "$boot" "${!blockdev}" "NODE$1" </dev/null | grep "^counter: $count"
  done
}

nodes=()
for node in 1 2 3; do
  run_node "$node" &
  nodes+=($!)
done
for node in "${nodes[@]}"; do wait "$node"; done

# Neither the overlay that the disks are clones of nor its base has changed.
diff <(sha256sum "$@") - <<<"$before"
