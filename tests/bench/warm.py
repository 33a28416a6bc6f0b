"""The node of tests/vm/linux: saving its state, booting it, and starting it from the state."""

import gzip
import hashlib
import os
import shutil
import sys
import time
from contextlib import ExitStack

import warm_node
from guest import Node
from measure import bytes_text, in_turn, run, seconds_of, spread, spread_text, table, time_text

TITLE = "A warm machine"


def measure(setup):
    base = os.path.realpath(setup.node_image)
    frozen, state, about = (setup.directory / name for name in ("frozen.qcow2", "node.state", "node.json"))

    def provision():
        tool = [sys.executable, warm_node.__file__, setup.kernel, state, about]
        return seconds_of(
            lambda: run(setup.tool, "provision", "-q", "--force", "-b", base, "-F", "raw", frozen, "--", *tool)
        )

    def boot(name, disks):
        return Node(name, setup.kernel, disks)

    def warm_start(name, disks):
        return warm_node.WarmNode(name, setup.kernel, disks, state, about)

    ways = {
        "provision: boot, save, keep": provision,
        "boot one": lambda: start(setup, boot, base, 1),
        "boot three": lambda: start(setup, boot, base, 3),
        "warm start one": lambda: start(setup, warm_start, frozen, 1),
        "warm start three": lambda: start(setup, warm_start, frozen, 3),
    }
    times = in_turn(ways, setup.rounds or (1 if setup.small else 5), 10 * setup.limit)
    return {
        "ways": {name: spread(seconds) for name, seconds in times.items()},
        "costs": costs(state) | {"the disk": {"bytes": frozen.stat().st_size}},
    }


def start(setup, node, base, count):
    """Starts nodes side by side; returns the seconds until all have run a command, with making the disks."""
    paths = [setup.directory / f"node{number}.qcow2" for number in range(count)]
    os.sync()
    begin = time.monotonic()
    with ExitStack() as stack:
        nodes = []
        for path in paths:
            run(setup.tool, "create", "-q", "-b", base, path)
            disk = {"driver": "qcow2", "file": {"driver": "file", "filename": str(path)}}
            nodes.append(stack.enter_context(node(path.stem, [disk])))
        for each in nodes:
            each.wait_ready()
            each.output("true")
        seconds = time.monotonic() - begin
    for path in paths:
        path.unlink()
    return seconds


def costs(state):
    """What a state costs a cache: its length, plain and compressed, and the time to process it."""
    content = state.read_bytes()
    found = {"the state": {"bytes": len(content)}}
    begin = time.monotonic()
    hashlib.sha256(content).digest()
    found["the state"]["seconds"] = time.monotonic() - begin
    begin = time.monotonic()
    found["gzip -1"] = {"bytes": len(gzip.compress(content, 1)), "seconds": time.monotonic() - begin}
    if shutil.which("zstd"):
        begin = time.monotonic()
        compressed = run("zstd", "--stdout", "--quiet", state)
        found["zstd"] = {"bytes": len(compressed), "seconds": time.monotonic() - begin}
    return found


def tables(results):
    rows = [[name, *spread_text(found)] for name, found in results["ways"].items()]
    lines = ["", *table(["the node", "time", "least"], rows), ""]
    rows = []
    for name, found in results["costs"].items():
        rows.append([name, bytes_text(found["bytes"]), time_text(found["seconds"]) if "seconds" in found else ""])
    return lines + table(["in a cache", "length", "time to hash or compress"], rows)
