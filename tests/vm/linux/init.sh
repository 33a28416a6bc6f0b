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
until found=(/sys/block/{nvme,vd}*) && ((${#found[@]} == ${disks:?})); do sleep 0.1; done
for device in "${found[@]}"; do
  serials=("$device"/serial* "$device"/device/serial*)
  read -r disk <"${serials[0]}"
  ln -s "${device##*/}" "/dev/$disk"
  # nvme0n1p2 and vda2 are both p2.
  for partition in "$device/${device##*/}"*; do
    number=${partition#"$device/${device##*/}"}
    ln -s "${partition##*/}" "/dev/${disk}p${number#p}"
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
