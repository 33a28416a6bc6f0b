#!/bin/bash
# Process 1 of a node: mounts what programs expect, says that it is ready, and runs
# each line that the serial console brings. guest.py is the other end.
export PATH=/usr/sbin:/usr/bin HOME=/root
shopt -s nullglob

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -o remount,rw /

# The kernel numbers disks as it happens to find them: /dev/disk1, /dev/disk2 and so on
# are named after their serial numbers. How many there are is in $disks, from the kernel's
# command line.
until found=(/sys/block/nvme*) && ((${#found[@]} == ${disks:?})); do sleep 0.1; done
for device in /sys/block/nvme*; do
  read -r disk <"$device/device/serial"
  ln -s "${device##*/}" "/dev/$disk"
  for partition in "$device"/nvme*p*; do
    ln -s "${partition##*/}" "/dev/$disk${partition#"$device/${device##*/}"}"
  done
done

# From here on only what is broken: the console is for the commands.
echo 4 >/proc/sys/kernel/printk

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
