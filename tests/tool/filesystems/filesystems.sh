# shellcheck shell=bash disable=SC2154,SC2164 # checks.sh, which sources this, sets the variables and -e
# File systems. Each function mounts one at $place.

# Makes a file of 512 MiB for a file system.
disk() { truncate -s 512M "$work/disk"; }

ext4() { disk && mkfs.ext4 -q "$work/disk" && mount -o loop "$work/disk" "$place"; }
XFS() { disk && mkfs.xfs -q "$work/disk" && mount -o loop "$work/disk" "$place"; }
btrfs() { disk && mkfs.btrfs -q "$work/disk" >/dev/null && mount -o loop "$work/disk" "$place"; }
tmpfs() { mount -t tmpfs none "$place"; }

# Over a lower layer with the sources, which the commands read.
overlayfs() {
  mkdir "$work/layers" && mount -t tmpfs none "$work/layers" && mkdir "$work/layers"/{upper,work} &&
    mount -t overlay -o "lowerdir=$sources,upperdir=$work/layers/upper,workdir=$work/layers/work" none "$place"
}

# Without hard links, RENAME_NOREPLACE and owners.
exFAT_by_FUSE() {
  disk && mkfs.exfat "$work/disk" >/dev/null && mount -t exfat-fuse -o loop "$work/disk" "$place" >/dev/null
}

# Shows a directory without hard links and RENAME_NOREPLACE; "$@" is a fault.
passthrough() { mkdir "$work/directory" && /usr/bin/python3 "$here/passthrough.py" "$work/directory" "$place" "$@"; }
FUSE() { passthrough "$@"; }

# Mounts a file system by the command "$1" and enters it, or says that it is skipped.
mounted() {
  "$1" && mountpoint -q "$place" && cd "$place" && return
  echo "SKIPPED $1"
  unmount
  return 1
}

unmount() {
  cd "$here"
  while mountpoint -q "$place"; do umount "$place"; done
  if mountpoint -q "$work/layers"; then umount "$work/layers"; fi
  rm -rf "$work"/{disk,layers,directory}
}

# Checks that all 2 MiB of data of images that were converted, and of a copy, are blocks of their source.
blocks_are_shared_on() {
  local name
  sync -f .
  for name in changed.qcow2 copy.raw disks.3/C; do
    (($(shared "$name") == 2 << 20)) || { filefrag -v "$name"; fail "$name: $(shared "$name") bytes are shared"; }
  done
}

# Prints the number of bytes of the file "$1" that are shared with other files.
shared() {
  filefrag -b1 -v "$1" | awk -F: '/shared/ { bytes += $4 } END { print bytes + 0 }'
}

for filesystem in ext4 XFS btrfs tmpfs overlayfs exFAT_by_FUSE FUSE; do
  mounted "$filesystem" || continue
  check_commands "$filesystem"
  case $filesystem in
    XFS | btrfs) check blocks_are_shared_on "$filesystem" ;;
  esac
  unmount
done
