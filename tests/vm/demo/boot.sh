#!/usr/bin/env bash
# Boots a disk of the demo node in QEMU, with the serial port on standard input and output:
#
#   bazel run //tests/vm/demo:boot -- /tmp/node.qcow2
#
# The disk is a path, or a complete value for -blockdev, with its node name as the second
# argument. If the input has a byte, the guest reboots once.
set -euo pipefail
cd "${BUILD_WORKING_DIRECTORY:-.}"
disk=$1
node=${2:-}
blockdev=$disk
if [[ -z $node ]]; then
  node=disk
  blockdev=driver=qcow2,node-name=disk,file.driver=file,file.filename=${disk//,/,,}
fi

# Emulation works on every machine, and is fast enough for this guest. No network.
status=0
qemu-system-x86_64 -accel tcg -m 16 -nic none -display none -monitor none \
  -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=1 \
  -blockdev "$blockdev" -device "ide-hd,drive=$node" || status=$?

# If all went well, the guest ends QEMU with status 2 * 0 + 1.
if [[ $status != 1 ]]; then
  echo "boot.sh: QEMU ended with status $status" >&2
  exit 1
fi
