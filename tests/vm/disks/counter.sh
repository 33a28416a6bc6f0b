#!/usr/bin/env bash
set -euo pipefail
readonly boot=$1

# The byte of input makes the guest reboot once.
output=$(printf r | "$boot" "$NODE_BLOCKDEV" NODE | tr -d '\r')
diff <(printf "%s\n" "$output") - <<END
marker: rules_qcow2 demo node
counter: 1
sectors: 00200000
marker: rules_qcow2 demo node
counter: 2
sectors: 00200000
END

# QEMU is started again, this time with the path of the disk.
"$boot" "$NODE" </dev/null | grep '^counter: 3'
qemu-img check "$NODE"
