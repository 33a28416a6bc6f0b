"""N writable disks from one base: what a test costs before it starts."""

import os
import random
import shutil

from measure import bytes_text, in_turn, on_disk, ratio_text, run, seconds_of, spread, spread_text, table

TITLE = "Disks for a test"
MIB = 1 << 20
COPY = "`cp --sparse=never`"
SPARSE_COPY = "`cp` that keeps holes"
REFLINK = "`cp --reflink`"
CLONE = "`qcow2-overlay clone`"
EXEC = "`qcow2-overlay exec`, as in `qcow2_test`"

# The most bytes that copies may take, and the bytes that they must leave free.
MOST, RESERVE = 48 << 30, 30 << 30


def measure(setup):
    cases = []
    for size in [64] if setup.small else [64, 1024, 5 * 1024]:
        base = setup.directory / "node.img"
        make_base(base, size)
        overlay = setup.directory / "node.qcow2"
        run(setup.tool, "create", "-q", "-b", base, "-F", "raw", overlay)
        for count in [1, 8] if setup.small else [1, 8, 64]:
            cases.append(measure_case(setup, base, overlay, size, count))
        base.unlink()
        overlay.unlink()
    return {"cases": cases}


def make_base(path, mib):
    """Writes a disk like a node image: of each 10 MiB, 6 are data and 4 are a hole."""
    with open(path, "wb") as file:
        for piece in range(mib):
            if piece % 10 < 6:
                file.seek(piece * MIB)
                file.write(random.Random(piece).randbytes(MIB))
        file.truncate(mib * MIB)


def measure_case(setup, base, overlay, size, count):
    out = setup.directory / "disks"
    disks = [out / f"disk{number}" for number in range(count)]
    named = [word for number in range(count) for word in ("--disk", f"DISK{number}={overlay}")]

    def each(*command):
        for disk in disks:
            run(*command, disk)

    actions = {
        COPY: lambda: each("cp", "--sparse=never", "--reflink=never", base),
        SPARSE_COPY: lambda: each("cp", "--reflink=never", base),
        REFLINK: lambda: each("cp", "--reflink=always", base),
        "`qemu-img create`": lambda: each("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw"),
        CLONE: lambda: each(setup.tool, "clone", overlay),
        EXEC: lambda: run(setup.tool, "exec", *named, "--", "true", env=os.environ | {"TEST_TMPDIR": str(out)}),
    }
    left_out, taken = {}, {}
    room = min(MOST, shutil.disk_usage(setup.directory).free - RESERVE)
    for name, needed in [(COPY, size * MIB), (SPARSE_COPY, on_disk(base))]:
        if needed * count > room:
            left_out[name] = f"left out: {bytes_text(needed * count)}"

    def way(name, action):
        def measured():
            if out.exists():
                shutil.rmtree(out)
            out.mkdir()
            seconds = seconds_of(action)
            os.sync()  # blocks are allocated when they are written
            taken[name] = on_disk(out)
            shutil.rmtree(out)
            return seconds

        return measured

    ways = {name: way(name, action) for name, action in actions.items() if name not in left_out}
    try:
        ways[REFLINK]()
    except RuntimeError:
        left_out[REFLINK] = "not supported by this file system"
        del ways[REFLINK]
    times = in_turn(ways, setup.rounds or (3 if setup.small else 7), setup.limit)
    rows = {name: spread(times[name]) | {"bytes": taken[name]} for name in times}
    rows |= {name: {"left_out": reason} for name, reason in left_out.items()}
    return {"size": size, "count": count, "ways": {name: rows[name] for name in actions}}


def tables(results):
    lines = []
    for case in results["cases"]:
        ways = case["ways"]
        least = ways[CLONE]["median"]
        lines += ["", f"{case['count']} from a base of {bytes_text(case['size'] * MIB)}:", ""]
        rows = []
        for name, way in ways.items():
            if "left_out" in way:
                rows.append([name, way["left_out"], "", "", "", ""])
                continue
            # Its bytes on disk would include the blocks that it shares.
            taken = "shared" if name == REFLINK else bytes_text(way["bytes"])
            rows.append([name, *spread_text(way), str(way["runs"]), ratio_text(way["median"] / least), taken])
        lines += table(["", "median", "least", "runs", "times `clone`", "on disk"], rows)
    return lines
