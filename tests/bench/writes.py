"""Writes to a disk through QEMU's block layer, without a guest: options, cache modes, discard."""

import random

from boot import COPY, KINDS, make_disk
from copies import make_base
from measure import bytes_text, in_turn, on_disk, ratio_text, run, seconds_of, spread, spread_text, table

TITLE = "Writes"
MIB = 1 << 20

CACHES = ["writeback", "unsafe", "none", "directsync"]


def measure(setup):
    size = 64 if setup.small else 1024
    base = setup.directory / "node.img"
    make_base(base, size)
    rounds = setup.rounds or (2 if setup.small else 7)
    return {
        "kinds": measure_kinds(setup, base, size, rounds),
        "caches": measure_caches(setup, base, size, rounds),
        "discards": measure_discards(setup, base),
    }


def random_writes(size, count, flush_each=None):
    """Yields commands for qemu-io: writes of 4 KiB at random places of the disk."""
    places = random.Random(0)
    for number in range(1, count + 1):
        yield f"write -q -P 1 {places.randrange(size * 256) * 4096} 4096"
        if flush_each and number % flush_each == 0:
            yield "flush"
    yield "flush"


def qemu_io(path, commands, *arguments):
    script = path.with_suffix(".commands")
    script.write_text("\n".join([*commands, "quit", ""]))
    with open(script) as stdin:
        output = run("qemu-io", *arguments, stdin=stdin)
    if b"failed" in output or b"rror" in output:
        raise RuntimeError(output.decode())


def measure_kinds(setup, base, size, rounds):
    """Small random writes on each kind of disk: the time, and the growth of the disk."""
    count = 500 if setup.small else 5000
    path = setup.directory / "disk"
    grown = {}

    def way(kind, options):
        def measured():
            path.unlink(missing_ok=True)
            make_disk(setup, base, options, path)
            before = on_disk(path)
            commands = list(random_writes(size, count))
            image_format = "raw" if options is None else "qcow2"
            seconds = seconds_of(lambda: qemu_io(path, commands, "-f", image_format, path))
            grown[kind] = on_disk(path) - before
            path.unlink()
            return seconds

        return measured

    kinds = {COPY: None} | KINDS
    times = in_turn({kind: way(kind, options) for kind, options in kinds.items()}, rounds, setup.limit)
    return {"count": count, "ways": {kind: spread(times[kind]) | {"bytes": grown[kind]} for kind in kinds}}


def measure_caches(setup, base, size, rounds):
    """Such writes with a flush after each 16, as for a journal, in each cache mode."""
    count = 160 if setup.small else 1600
    path = setup.directory / "disk"

    def way(cache):
        def measured():
            path.unlink(missing_ok=True)
            make_disk(setup, base, "", path)
            commands = list(random_writes(size, count, flush_each=16))
            seconds = seconds_of(lambda: qemu_io(path, commands, "-t", cache, "-f", "qcow2", path))
            path.unlink()
            return seconds

        return measured

    times = in_turn({cache: way(cache) for cache in CACHES}, rounds, setup.limit)
    return {"count": count, "ways": {cache: spread(times[cache]) for cache in CACHES}}


def measure_discards(setup, base):
    """The bytes on disk after 32 MiB of data were written and then discarded or overwritten with zeros."""
    path = setup.directory / "disk"
    given = {"discard": "discard 0 32M", "write of zeros": "write -q -P 0 0 32M"}
    settings = {
        "`discard=ignore`, QEMU's default": "discard=ignore",
        "`discard=unmap`": "discard=unmap",
        "`discard=unmap,detect-zeroes=unmap`": "discard=unmap,detect-zeroes=unmap",
    }
    left = {}
    for name, setting in settings.items():
        left[name] = {}
        for label, command in given.items():
            path.unlink(missing_ok=True)
            make_disk(setup, base, "", path)
            image = f"driver=qcow2,file.filename={path},{setting}"
            commands = ["write -q -P 1 0 32M", "flush", command, "flush"]
            qemu_io(path, commands, "--image-opts", image)
            left[name][label] = on_disk(path)
    path.unlink()
    return left


def tables(results):
    kinds, caches, discards = results["kinds"], results["caches"], results["discards"]
    lines = ["", f"{kinds['count']} writes of 4 KiB at random places of 1 GiB, one flush:", ""]
    raw = kinds["ways"][COPY]["median"]
    rows = [
        [name, *spread_text(way), ratio_text(way["median"] / raw), bytes_text(way["bytes"])]
        for name, way in kinds["ways"].items()
    ]
    lines += table(["disk", "median", "least", "times raw", "grows by"], rows)
    lines += ["", f"{caches['count']} such writes on an overlay with defaults, a flush after each 16:", ""]
    first = caches["ways"][CACHES[0]]["median"]
    rows = [
        [f"`cache={name}`", *spread_text(way), ratio_text(way["median"] / first)]
        for name, way in caches["ways"].items()
    ]
    lines += table(["", "median", "least", f"times {CACHES[0]}"], rows)
    lines += ["", "What an overlay takes on disk after 32 MiB were written and then", ""]
    labels = list(next(iter(discards.values())))
    rows = [[name, *(bytes_text(left[label]) for label in labels)] for name, left in discards.items()]
    lines += table(["QEMU's settings", *labels], rows)
    return lines
