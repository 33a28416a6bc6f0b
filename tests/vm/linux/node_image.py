"""Writes the disk of a node: a GPT with an ext4 partition, which holds parts of this machine's own
/usr and the given files. With ESP, the content of an EFI system partition, that is before it.

    node_image.py [--esp=ESP] IMAGE SIZE PATH_IN_THE_NODE=FILE...

It does not need root. The same files give the same bytes: owners, dates and identifiers are
fixed, and the files are sorted by name.
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile

PROGRAMS = """
    bash blkid blockdev cat chmod chown cmp cp cut date dd df dmesg du dumpe2fs e2fsck
    echo env false find findmnt grep gzip head hostname id java ln ls lsblk mkdir mke2fs
    mkfs.ext4 mktemp mount mv od partx perl python3 readlink resize2fs rm rmdir sed seq
    sfdisk sh sha256sum sleep sort stat stty sync tail tar tee touch tr true truncate
    tune2fs umount uname wc xargs xz
""".split()

# What those need besides libraries. Most of it is the Java runtime, to make the node as large
# as real ones.
TREES = [
    "/etc/mke2fs.conf",
    "/usr/lib/jvm",
    "/usr/lib/x86_64-linux-gnu/perl-base",
    "/usr/share/perl",
    "/usr/share/zoneinfo",
    sysconfig.get_path("stdlib"),
    *glob.glob("/etc/java-*"),
]

EMPTY = ["data", "dev", "proc", "root", "run", "sys", "tmp"]
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}

DATE = 1577836800  # 2020-01-01, an arbitrary date
IDS = (f"6f0a1a52-0d5e-4d4c-9b0b-5a7f7a1d000{n}" for n in range(5))
DISK_ID, PARTITION_ID, FILESYSTEM_ID, HASH_SEED, ESP_ID = IDS
MIB = 1 << 20


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--esp")
    parser.add_argument("image")
    parser.add_argument("size", type=int)
    parser.add_argument("files", nargs="*")
    given = parser.parse_args(arguments)
    write(given.image, given.size, given.files, given.esp)


def write(image, size, files, esp):
    # Bazel's PATH lacks the directory of sfdisk and mke2fs.
    os.environ["PATH"] += ":/usr/sbin"
    with open(image, "wb") as disk:
        disk.truncate(size)
    # The partitions leave room for the table: 1 MiB here, and its copy at the end.
    start = MIB
    table = f"label: gpt\nlabel-id: {DISK_ID}\n"
    if esp:
        start += os.path.getsize(esp)
        table += f"start={MIB // 512}, size={(start - MIB) // 512}, type=uefi, uuid={ESP_ID}\n"
        with open(image, "r+b") as disk, open(esp, "rb") as source:
            disk.seek(MIB)
            shutil.copyfileobj(source, disk)
    sectors = (size - MIB - start) // 512
    table += f"start={start // 512}, size={sectors}, type=linux, name=root, uuid={PARTITION_ID}\n"
    subprocess.run(["sfdisk", "--quiet", image], input=table, text=True, check=True)
    mke2fs = subprocess.Popen(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-U", FILESYSTEM_ID]
        + ["-E", f"offset={start},hash_seed={HASH_SEED},root_owner=0:0", "-d", "-"]
        + [image, f"{sectors // 2}k"],
        stdin=subprocess.PIPE,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(DATE)},
    )
    with tarfile.open(fileobj=mke2fs.stdin, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, source in sorted(contents(files).items()):
            add(tar, name, source)
    mke2fs.stdin.close()
    if mke2fs.wait() != 0:
        sys.exit("mke2fs failed")


def contents(files):
    """Maps each path in the node to its source on this machine, None for an empty directory."""
    names = dict.fromkeys(EMPTY)
    below_trees = trees()
    linked = programs() + [path for path in below_trees if path.endswith(".so")]
    steps = [step for path in linked + libraries(linked) for step in links_and_file(path)]
    for path in below_trees + steps:
        names[path.lstrip("/")] = path
    for file in files:
        name, _, source = file.partition("=")
        names[name] = os.path.realpath(source)
    for name in list(names):
        while name := os.path.dirname(name):
            names.setdefault(name, None)
    return names | {name: os.path.join("/", name) for name in LINKS}


def programs():
    found = [shutil.which(program) for program in PROGRAMS]
    if None in found:
        sys.exit(f"{PROGRAMS[found.index(None)]} is not installed")
    return found


def libraries(paths):
    """The libraries that these programs and libraries are linked with."""
    # ldd fails for scripts, which does not matter.
    output = subprocess.run(["ldd", *paths], capture_output=True, text=True).stdout
    return sorted({word for word in output.split() if word[0] == "/" and word[-1] != ":"})


def links_and_file(path):
    """The path and, link by link, what it links to, each without links among its directories."""
    path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    if not os.path.islink(path):
        return [path]
    return [path] + links_and_file(os.path.join(os.path.dirname(path), os.readlink(path)))


def trees():
    paths = []
    for tree in filter(os.path.exists, TREES):
        paths.append(tree)
        for directory, subdirectories, files in os.walk(tree):
            # Python can write these at any time.
            if "__pycache__" in subdirectories:
                subdirectories.remove("__pycache__")
            paths += [os.path.join(directory, name) for name in subdirectories + files]
    return paths


def add(tar, name, source):
    entry = tarfile.TarInfo(name)
    entry.mtime = DATE
    entry.mode = 0o755
    if name in LINKS:
        entry.type, entry.linkname = tarfile.SYMTYPE, LINKS[name]
    elif source is None or (os.path.isdir(source) and not os.path.islink(source)):
        entry.type = tarfile.DIRTYPE
    elif os.path.islink(source):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(source)
    else:
        entry.size = os.path.getsize(source)
        # By location, because Bazel does not rebuild when only a mode changes.
        executable = name.startswith(("usr/bin/", "usr/sbin/", "usr/lib/"))
        entry.mode = 0o755 if executable else 0o644
        with open(source, "rb") as file:
            tar.addfile(entry, file)
        return
    tar.addfile(entry)


if __name__ == "__main__":
    main(sys.argv[1:])
