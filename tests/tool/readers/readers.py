"""Compares what other readers read from our images and from QEMU's: see `run`."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dissect.hypervisor.disk.qcow2 import QCow2

MB = 1 << 20
TOOL = sys.argv[1]
OPTIONS = [
    *("compat=0.10", "compat=1.1", "lazy_refcounts=on", "extended_l2=on"),
    *(f"cluster_size={1 << bits}" for bits in range(9, 22)),
    *(f"refcount_bits={1 << order}" for order in range(7)),
    "cluster_size=4096,lazy_refcounts=on,refcount_bits=1",
    "cluster_size=2M,extended_l2=on,refcount_bits=64",
]
# All options with a raw base, some with other bases or none.
KINDS = [("on raw", "base.img", options) for options in OPTIONS]
KINDS += [("on qcow2", "base.qcow2", options) for options in OPTIONS[:4]]
KINDS += [("on a shorter one", "short.img", options) for options in OPTIONS[:4]]
KINDS += [("blank", None, options) for options in OPTIONS[:4]]
SIZE = str(2 * MB + 512)
# Options of `convert -c`.
COMPRESSED = ["compat=0.10", "compression_type=zlib", "compression_type=zstd", "compression_type=zstd,extended_l2=on"]
COMPRESSED += [f"compression_type={kind},cluster_size={size}" for kind in ["zlib", "zstd"] for size in ["4K", "2M"]]


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def output(*command):
    result = subprocess.run(command, capture_output=True)
    if result.returncode != 0:
        raise OSError(result.stderr.decode("utf-8", "replace"))
    return result.stdout


def qemu_img(image):
    """Returns the reference, what QEMU itself reads."""
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, "flat.img")
    return Path("flat.img").read_bytes()


def qemu_nbd(image):
    path = os.path.abspath("nbd.socket")
    server = subprocess.Popen(["qemu-nbd", "--persistent", "--read-only", "-k", path, "-f", "qcow2", image])
    try:
        wait_for(server, path)
        output("qemu-img", "convert", "-f", "raw", "-O", "raw", f"nbd+unix:///?socket={path}", "flat.img")
        return Path("flat.img").read_bytes()
    finally:
        server.kill()
        server.wait()
        Path(path).unlink(missing_ok=True)


def wait_for(server, path):
    """Waits until the server listens, which is later than its socket exists, or has ended."""
    limit = time.monotonic() + 60
    while server.poll() is None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            return
        if time.monotonic() > limit:
            raise TimeoutError("qemu-nbd does not listen")
        time.sleep(0.001)


def imago(image):
    return output("imago-reader", image)


def out_of_time(*_):
    raise TimeoutError("it does not end")


def dissect(image):
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(3)
    try:
        return QCow2(Path(image)).open().read()
    finally:
        signal.alarm(0)


def seven_zip(image):
    return output("7zz", "x", "-tqcow", "-so", image)


def attempt(reader, image):
    """Returns what `reader` reads, or None and its message."""
    try:
        return reader(image), None
    except Exception as error:  # readers raise all kinds
        return None, " ".join(f"{type(error).__name__}: {error}".replace(image, "IMAGE").split())


def images():
    """Makes each kind of image, ours and QEMU's, fresh, written to and compressed; yields its name."""
    for start, base, options in KINDS:
        for image, program in [("ours", TOOL), ("theirs", "qemu-img")]:
            Path(image).unlink(missing_ok=True)
            backing = ["-b", base, "-F", "qcow2" if base == "base.qcow2" else "raw"] if base else []
            run(program, "create", "-q", "-f", "qcow2", "-o", options, *backing, image, SIZE)
        yield f"{start}, {options}, fresh"
        for image in ["ours", "theirs"]:
            run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1000K 100K", "-c", "write -z 0 64K", image)
        yield f"{start}, {options}, written to"

    for options in COMPRESSED:
        for image, program in [("ours", TOOL), ("theirs", "qemu-img")]:
            Path(image).unlink(missing_ok=True)
            run(program, "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, "base.img", image)
        yield f"compressed, {options}"


def main():
    readers = [qemu_nbd, imago, dissect, seven_zip]
    same = dict.fromkeys(readers, 0)
    neither = {reader: {} for reader in readers}
    other = {reader: [] for reader in readers}
    content = "".join(f"{number}\n" for number in range(400000)).encode()
    Path("base.img").write_bytes(content[: int(SIZE)])
    Path("short.img").write_bytes(content[:1500000])
    run("qemu-img", "convert", "-O", "qcow2", "base.img", "base.qcow2")
    count = 0
    for name in images():
        count += 1
        expected = qemu_img("theirs")
        for reader in readers:
            (ours, our_error), (theirs, their_error) = (attempt(reader, i) for i in ["ours", "theirs"])
            if ours != theirs or our_error != their_error:
                other[reader].append(f"{name}: {our_error or 'read'}, QEMU's {their_error or 'read'}")
            elif ours == expected:
                same[reader] += 1
            else:
                problem = their_error or "wrong content"
                neither[reader].setdefault(problem, []).append(name)
    for reader in readers:
        for problem, names in neither[reader].items():
            print(f"{reader.__name__} reads neither ours nor QEMU's ({len(names)}, first {names[0]}): {problem}")
        for line in other[reader]:
            print(f"{reader.__name__}: {line}")
        verdict = "PASSED" if not other[reader] and same[reader] else "FAILED"
        print(f"{verdict} {reader.__name__} reads {same[reader]} of {count} images, ours as QEMU's")
    return any(other.values()) or not all(same.values())


with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
    sys.exit(main())
