"""The Linux node of tests/vm/linux boots and works on several kinds of disks."""

import os
import time

from guest import Node
from measure import bytes_text, on_disk, run, spread, spread_text, table

TITLE = "A Linux guest"
COPY = "raw copy"

# Label -> options of the overlay, as for -o.
KINDS = {
    "overlay, defaults (64K)": "",
    "overlay, extended_l2": "extended_l2=on",
    "overlay, extended_l2, 128K": "extended_l2=on,cluster_size=128K",
    "overlay, clusters of 4K": "cluster_size=4K",
    "overlay, clusters of 2M": "cluster_size=2M",
}

STEPS = ["made", "boot", "files", "large"]

# The load of an installation or an upgrade: many small files, then a large one.
FILES = "mkdir /root/t && for i in {{1..{0}}}; do echo $i > /root/t/$i; done && sync"
LARGE = "dd if=$(ls /usr/lib/jvm/*/lib/modules | tail -1) of=/root/large bs=1M count={0} conv=fsync 2>/dev/null"


def make_disk(setup, base, options, path):
    """Makes an overlay of the base, or a copy if options is None; returns a value for -blockdev."""
    file = {"driver": "file", "filename": str(path)}
    if options is None:
        run("cp", "--sparse=never", base, path)
        return {"driver": "raw", "file": file}
    extra = ["-o", options] if options else []
    run(setup.tool, "create", "-q", "--force", "-b", base, "-F", "raw", *extra, path)
    return {"driver": "qcow2", "file": file}


def measure(setup):
    base = os.path.realpath(setup.node_image)
    kinds = {COPY: None} | KINDS
    runs = {kind: [] for kind in kinds}
    for _ in range(setup.rounds or (1 if setup.small else 5)):
        for kind, options in kinds.items():
            runs[kind].append(measure_node(setup, base, options))
        kinds = dict(reversed(kinds.items()))
    return {"kinds": {kind: summary(runs[kind]) for kind in [COPY, *KINDS]}}


def measure_node(setup, base, options):
    path = setup.directory / "node.disk"
    count = 100 if setup.small else 1000
    path.unlink(missing_ok=True)
    start = time.monotonic()
    disk = make_disk(setup, base, options, path)
    made = time.monotonic()
    os.sync()
    before = on_disk(path)
    clock = time.monotonic()
    with Node("node", setup.kernel, [disk]) as node:
        node.wait_ready()
        ready = time.monotonic()
        node.output(FILES.format(count))
        files = time.monotonic()
        node.output(LARGE.format(count // 16))
        large = time.monotonic()
        node.power_off()
    os.sync()
    found = {
        "made": made - start,
        "boot": ready - clock,
        "files": files - ready,
        "large": large - files,
        "bytes": on_disk(path) - before,
    }
    path.unlink()
    return found


def summary(runs):
    found = {step: spread(sorted(run[step] for run in runs)) for step in STEPS}
    return found | {"bytes": sorted(run["bytes"] for run in runs)[len(runs) // 2]}


def tables(results):
    rows = []
    for kind, found in results["kinds"].items():
        times = [text for step in STEPS for text in spread_text(found[step])]
        rows.append([kind, *times, bytes_text(found["bytes"])])
    head = ["disk"]
    for name in ["made", "boot", "1,000 small files", "62 MiB file"]:
        head += [name, "least"]
    head.append("grows by")
    return ["", *table(head, rows)]
