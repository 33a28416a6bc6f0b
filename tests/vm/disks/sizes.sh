#!/usr/bin/env bash
set -euo pipefail
readonly boot=$1

# 4 GiB in sectors of 512 bytes, and still the base's marker.
said=$("$boot" "$GROWN_BLOCKDEV" GROWN </dev/null | tr -d '\r')
diff <(printf "%s\n" "$said") - <<END
marker: rules_qcow2 demo node
counter: 1
sectors: 00800000
END

# There is nothing to boot on a blank disk.
qemu-img info "$BLANK" | grep '(3145728 bytes)'
[[ $(qemu-img map --output=json "$BLANK") == *'"data": false'* ]]
