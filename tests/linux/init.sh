#!/bin/bash
# Process 1 of a node: mounts what programs expect, says that it is ready, and runs
# each line that the serial console brings. guest.py is the other end.
export PATH=/usr/sbin:/usr/bin HOME=/root

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -o remount,rw /

power_off() {
  umount --all --types ext4 2>/dev/null # but for /, which is busy
  mount -o remount,ro / && echo o >/proc/sysrq-trigger
}

exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty raw -echo
echo "node ready"
while IFS= read -r command; do
  if [[ $command == poweroff ]]; then power_off; fi
  bash -c "$command" </dev/null
  # The output ends where this character is, then comes the status.
  printf '\036%d\n' $?
done
