#!/bin/bash
# Process 1 of a node: mounts the file systems that programs expect, reports that it is ready,
# and runs each line that it reads from the serial console. guest.py is at the other end.
export PATH=/usr/sbin:/usr/bin HOME=/root
shopt -s nullglob

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -o remount,rw /

# The kernel numbers disks in the order in which it finds them. /dev/disk1, /dev/disk2 and so
# on are links by serial number. $disks, from the kernel's command line, is their number.
until found=(/sys/block/nvme*) && ((${#found[@]} == ${disks:?})); do sleep 0.1; done
for device in /sys/block/nvme*; do
  read -r disk <"$device/device/serial"
  ln -s "${device##*/}" "/dev/$disk"
  for partition in "$device"/nvme*p*; do
    ln -s "${partition##*/}" "/dev/$disk${partition#"$device/${device##*/}"}"
  done
done

# From here on the kernel prints only errors: the console is for commands.
echo 4 >/proc/sys/kernel/printk

power_off() {
  umount --all --types ext4 2>/dev/null # except /, which is busy
  mount -o remount,ro / && echo o >/proc/sysrq-trigger
}

exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty raw -echo
echo "node ready"
while IFS= read -r command; do
  if [[ $command == poweroff ]]; then power_off; fi
  bash -c "$command" </dev/null
  # This character marks the end of the output; the exit status follows.
  printf '\036%d\n' $?
done
