"""Conversion of images: ours, qemu-img and cp."""

import os
import random
import subprocess
import time

from measure import bytes_text, in_turn, on_disk, ratio_text, run, seconds_of, spread, spread_text, table

TITLE = "Conversion"
MIB = 1 << 20
OURS = "`qcow2-overlay convert`"
QEMU = "`qemu-img convert`"
QEMU_PARALLEL = "`qemu-img convert -m 16 -W`"
COPY = "`cp --sparse=always`"


def measure(setup):
    cases = {}
    for name, path in sources(setup):
        cases[name] = measure_case(setup, path)
        path.unlink()
    for path in setup.directory.iterdir():
        path.unlink()
    compressed = {kind: measure_compressed(setup, kind) for kind in ["zlib", "zstd"]}
    return {"cases": cases, "compressed": compressed}


def sources(setup):
    """Yields a name and a file for each source. The file is removed before the next is made."""
    directory = setup.directory
    for mib, percent in [(64, 60)] if setup.small else [(1 << 10, 60), (5 << 10, 12), (50 << 10, 1)]:
        raw = directory / "source.raw"
        make_raw(raw, mib, percent)
        yield f"raw, {bytes_text(mib * MIB)} with {percent} % data", raw

    # A real image, because random bytes cannot be compressed.
    for compression in ["zlib", "zstd"]:
        compressed = directory / "compressed.qcow2"
        options = ["-c", "-O", "qcow2", "-o", f"compression_type={compression}"]
        run("qemu-img", "convert", "-f", "raw", *options, os.path.realpath(setup.node_image), compressed)
        yield f"qcow2, node image compressed with {compression}", compressed

    top, size = directory / "base.raw", 64 if setup.small else 1 << 10
    make_raw(top, size, 60)
    for number in range(3):
        overlay = directory / f"overlay{number}.qcow2"
        image_format = "qcow2" if number else "raw"
        run(setup.tool, "create", "-q", "-b", top, "-F", image_format, overlay)
        places = random.Random(number)
        writes = [f"write -q -P {number + 1} {places.randrange(size)}M 1M" for _ in range(size // 16)]
        run("qemu-io", *(word for write in writes for word in ("-c", write)), overlay)
        top = overlay
    yield f"chain of three overlays, {bytes_text(size * MIB)} with 60 % data", top


def make_raw(path, mib, percent):
    """Writes a disk with data in `percent` of its MiB, at random places; the others are holes."""
    numbers = random.Random(mib)
    with open(path, "wb") as file:
        for piece in sorted(numbers.sample(range(mib), mib * percent // 100)):
            file.seek(piece * MIB)
            file.write(numbers.randbytes(MIB))
        file.truncate(mib * MIB)


def measure_case(setup, source):
    commands = {
        OURS: [setup.tool, "convert", "-q", source],
        QEMU: ["qemu-img", "convert", "-O", "qcow2", source],
        QEMU_PARALLEL: ["qemu-img", "convert", "-m", "16", "-W", "-O", "qcow2", source],
    }
    if source.suffix == ".raw":
        for command in (commands[QEMU], commands[QEMU_PARALLEL]):
            command[2:2] = ["-f", "raw"]
        commands[COPY] = ["cp", "--sparse=always", source]
    return measure_ways(setup, commands)


def measure_compressed(setup, compression):
    """Compresses the real node image, because random bytes cannot be compressed."""
    source = os.path.realpath(setup.node_image)
    options = ["-c", "-f", "raw", "-o", f"compression_type={compression}", source]
    qemu = ["qemu-img", "convert", "-O", "qcow2"]
    return measure_ways(
        setup,
        {
            OURS: [setup.tool, "convert", "-q", *options],
            QEMU: [*qemu, *options],
            QEMU_PARALLEL: [*qemu, "-m", "16", "-W", *options],
        },
    )


def measure_ways(setup, commands):
    """Runs each command, to which the name of its target is added; returns what is kept of it."""
    target = setup.directory / "target"
    taken = {}

    def way(name, command):
        def measured():
            target.unlink(missing_ok=True)
            seconds = seconds_of(lambda: run(*command, target))
            os.sync()  # blocks are allocated when they are written
            taken[name] = on_disk(target)
            return seconds

        return measured

    ways = {name: way(name, command) for name, command in commands.items()}
    times = in_turn(ways, setup.rounds or (3 if setup.small else 9), setup.limit)
    found = {}
    for name, command in commands.items():
        target.unlink(missing_ok=True)
        memory = peak_memory([*command, target])
        found[name] = spread(times[name]) | {"bytes": taken[name], "memory": memory}
    target.unlink()
    return found


def peak_memory(command):
    """Runs a command, polls its memory, and returns the peak in bytes.

    The resource usage of the process is not used: it starts with the memory of this process.
    """
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        with open(f"/proc/{process.pid}/status") as status:
            for line in status:
                # Before exec it is still this program.
                if line.startswith("Name:") and "python" in line:
                    break
                if line.startswith("VmHWM:"):
                    most = max(most, int(line.split()[1]) << 10)
        time.sleep(0.002)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return most


def tables(results):
    lines = []
    for name, ways in results["cases"].items():
        least = ways[OURS]["median"]
        rows = [
            [
                way,
                *spread_text(found),
                str(found["runs"]),
                ratio_text(found["median"] / least),
                bytes_text(found["memory"]),
                bytes_text(found["bytes"]),
            ]
            for way, found in ways.items()
        ]
        head = ["", "median", "least", "runs", "times ours", "memory", "on disk"]
        lines += ["", f"{name[0].upper()}{name[1:]}:", "", *table(head, rows)]
    for compression, ways in results.get("compressed", {}).items():
        lines += ["", f"The node image, compressed with {compression}:", "", *compressed_table(ways)]
    return lines


def compressed_table(ways):
    """Compares with the faster of QEMU's two ways: both write the same size."""
    best = min((QEMU, QEMU_PARALLEL), key=lambda name: ways[name]["least"])
    rows = [
        [
            way,
            *spread_text(found),
            str(found["runs"]),
            f"{found['least'] / ways[best]['least']:.2f}",
            f"{found['bytes'] / ways[best]['bytes']:.3f}",
            bytes_text(found["memory"]),
            bytes_text(found["bytes"]),
        ]
        for way, found in ways.items()
    ]
    return table(["", "median", "least", "runs", "time / QEMU's best", "size / QEMU's", "memory", "on disk"], rows)
