#!/usr/bin/env bash
# Boots a disk of the demo node in QEMU, its serial port on standard output:
#
#   bazel run //tests/demo:boot -- /tmp/node.qcow2
set -euo pipefail
cd "${BUILD_WORKING_DIRECTORY:-.}"
disk=$1

# Plain emulation: it is there on every machine, and soon done here. No network.
status=0
qemu-system-x86_64 -accel tcg -m 16 -nic none -display none -monitor none \
  -serial stdio -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=1 \
  -blockdev "driver=qcow2,node-name=disk,file.driver=file,file.filename=$disk" \
  -device ide-hd,drive=disk </dev/null || status=$?

# The guest ends QEMU with 2 * 0 + 1 when all went well.
if [[ $status != 1 ]]; then
  echo "boot.sh: QEMU ended with status $status" >&2
  exit 1
fi
