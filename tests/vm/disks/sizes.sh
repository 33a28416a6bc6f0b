#!/usr/bin/env bash
set -euo pipefail
readonly boot=$1

# 4 GiB in sectors of 512 bytes, and the marker of the base.
output=$("$boot" "$GROWN_BLOCKDEV" GROWN </dev/null | tr -d '\r')
diff <(printf "%s\n" "$output") - <<END
marker: rules_qcow2 demo node
counter: 1
sectors: 00800000
END

# A blank disk cannot be booted: it has no data.
qemu-img info "$BLANK" | grep '(3145728 bytes)'
map=$(qemu-img map --output=json "$BLANK")
[[ $map == *'"data": false'* && $map != *'"data": true'* ]]
