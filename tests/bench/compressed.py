"""A real node image as a base, plain and compressed: what it costs a build, and what a guest pays."""

import os
import random
import time

from bases import RAW, measure_packages, tables_of
from guest import Node
from measure import bytes_text, in_turn, on_disk, run, seconds_of, spread, spread_text, table
from workspace import Workspace

TITLE = "A compressed base"
PLAIN, ZSTD = "`genrule`, `convert`", "`genrule`, `convert -c -o compression_type=zstd`"

GENRULE = """
genrule(
    name = "base",
    outs = ["base.qcow2"],
    cmd = "cp --sparse=always {node} $@.raw && $(QCOW2_OVERLAY) convert -q {options} -f raw $@.raw $@ && rm $@.raw",
    toolchains = ["@rules_qcow2//rules:current_qcow2_toolchain"],
)
"""

# Label -> the package, the format of its target `base`, and that target.
PACKAGES = {
    RAW: ("raw", "raw", 'genrule(name = "base", outs = ["base.img"], cmd = "cp --sparse=always {node} $@")\n'),
    PLAIN: ("plain", "qcow2", GENRULE.replace("{options}", "")),
    ZSTD: ("zstd", "qcow2", GENRULE.replace("{options}", "-c -o compression_type=zstd")),
}

# Label -> options of `convert`, None for the raw image itself.
BASES = {
    "raw": None,
    "qcow2": [],
    "qcow2, zlib": ["-c"],
    "qcow2, zstd": ["-c", "-o", "compression_type=zstd"],
}
READS = 3000


def measure(setup):
    node = os.path.realpath(setup.node_image)
    workspace = Workspace(setup)
    packages = {
        label: (package, format, text.replace("{node}", node)) for label, (package, format, text) in PACKAGES.items()
    }
    return {"builds": measure_packages(workspace, packages), "guest": measure_guest(setup, node)}


def measure_guest(setup, node):
    """Boots, reads and writes on a fresh overlay of each base."""
    found, ways = {}, {}
    for number, (label, options) in enumerate(BASES.items()):
        base = node
        if options is not None:
            base = setup.directory / f"base{number}"
            run(setup.tool, "convert", "-q", *options, "-f", "raw", node, base)
        found[label] = {"bytes": on_disk(base) if options is not None else os.stat(node).st_blocks * 512}
        ways[label] = Disk(setup, base, "raw" if options is None else "qcow2")
    for what in ["cold boot", "boot", "reads", "all", "writes"]:
        if what == "cold boot" and os.geteuid() != 0:
            continue
        rounds = setup.rounds or (1 if setup.small else 5)
        timed = {label: lambda disk=disk, what=what: disk.seconds(what) for label, disk in ways.items()}
        times = in_turn(timed, rounds, setup.limit)
        for label in ways:
            found[label][what] = spread(times[label])
    return found


class Disk:
    """Fresh overlays of a base."""

    def __init__(self, setup, base, base_format):
        self.setup, self.base, self.format = setup, base, base_format
        self.path = setup.directory / "disk.qcow2"

    def seconds(self, what):
        run(self.setup.tool, "create", "-q", "--force", "-b", self.base, "-F", self.format, self.path)
        os.sync()
        if what.startswith("cold"):
            with open("/proc/sys/vm/drop_caches", "w") as caches:
                caches.write("3")
        work = {"reads": self.read, "all": self.read_all, "writes": self.write}.get(what)
        return seconds_of(work) if work else self.boot()

    def boot(self):
        disk = {"driver": "qcow2", "file": {"driver": "file", "filename": str(self.path)}}
        start = time.monotonic()
        with Node("node", self.setup.kernel, [disk]) as node:
            node.wait_ready()
            return time.monotonic() - start

    def read(self):
        self.qemu_io(f"read -q {place << 12} 4k" for place in self.places())

    def write(self):
        self.qemu_io(f"write -q {place << 12} 4k" for place in self.places())

    def read_all(self):
        self.qemu_io(f"read -q {offset}M 16M" for offset in range(0, os.stat(self.setup.node_image).st_size >> 20, 16))

    def places(self):
        """Blocks of 4 KiB of the image, at random."""
        return random.Random(0).choices(range(os.stat(self.setup.node_image).st_size >> 12), k=READS)

    def qemu_io(self, commands):
        with open(self.setup.directory / "commands", "w") as file:
            file.write("\n".join(commands) + "\nquit\n")
        with open(file.name) as commands:
            run("qemu-io", "-f", "qcow2", self.path, stdin=commands)


def tables(results):
    lines = ["", "An overlay on a node image of 1 GiB, built:", "", *tables_of(results["builds"], RAW)]
    names = {
        "cold boot": "boot, cold page cache",
        "boot": "boot, warm",
        "reads": f"{READS:,} random reads of 4K",
        "all": "all read in order",
        "writes": f"{READS:,} random writes of 4K",
    }
    rows, head = [], ["base of the overlay", "on disk"]
    for label, found in results["guest"].items():
        row = [label, bytes_text(found["bytes"])]
        for what in names:
            row += spread_text(found[what]) if what in found else ["", ""]
        rows.append(row)
    for name in names.values():
        head += [name, "least"]
    return [*lines, "", "What a guest pays:", "", *table(head, rows)]
