#!/bin/sh
# The disk holds the flavor "$1" of the database, and the file $INFO has its size.
set -e
qemu-img dd -O raw if="$DATABASE" of="$TEST_TMPDIR/start" bs=512 count=1
grep "a $1 database" "$TEST_TMPDIR/start"
if [ "$1" = release ]; then
    qemu-img info "$DATABASE" | grep 'virtual size: 32 MiB'
fi
grep '"virtual-size": 16777216' "$INFO"
