"""A sparse base and an overlay on it: what they cost a build and its caches."""

import http.server
import json
import os
import shutil
import threading

from measure import bytes_text, in_turn, on_disk, ratio_text, spread, spread_text, table
from workspace import Workspace

TITLE = "A base in a build"
RAW = "raw image"
CONVERTED = "`qcow2_image` of the raw image"
GENRULE = "`genrule` that keeps the raw image to itself"

# Writes an image of the given size in MiB. 15 of each 128 MiB are data, all different. It is as
# fast as possible (the buffer is page-aligned), because the steps after it are to be measured.
MAKE_IMAGE = """
import mmap
import os
import random
import sys

mib = int(sys.argv[1])
block = mmap.mmap(-1, 1 << 20)
block[:] = random.Random(0).randbytes(1 << 20)
image = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT, 0o666)
for piece in range(mib):
    if piece % 128 < 15:
        block[:8] = piece.to_bytes(8, "little")
        os.pwrite(image, block, piece << 20)
os.ftruncate(image, mib << 20)
"""

OVERLAY = """
qcow2_overlay(
    name = "node",
    size = "20G",
    backing = ":base",
    backing_format = "{format}",
)
"""

RAW_IMAGE = """
genrule(
    name = "{name}",
    outs = ["{name}.img"],
    cmd = "python3 $(location //:make_image.py) {mib} $@",
    tools = ["//:make_image.py"],
)
"""

# Label -> the package, the format of its target `base`, and its targets.
PACKAGES = {
    RAW: ("raw", "raw", RAW_IMAGE.replace("{name}", "base")),
    CONVERTED: (
        "converted",
        "qcow2",
        RAW_IMAGE.replace("{name}", "image") + 'qcow2_image(name = "base", src = ":image", src_format = "raw")\n',
    ),
    GENRULE: (
        "genrule",
        "qcow2",
        """
genrule(
    name = "base",
    outs = ["base.qcow2"],
    cmd = "python3 $(location //:make_image.py) {mib} $@.raw &&" +
          " $(QCOW2_OVERLAY) convert -q -f raw $@.raw $@ && rm $@.raw",
    toolchains = ["@rules_qcow2//rules:current_qcow2_toolchain"],
    tools = ["//:make_image.py"],
)
""",
    ),
}

LOAD = 'load("@rules_qcow2//rules:defs.bzl", "qcow2_image", "qcow2_overlay")\n'


class Cache(http.server.BaseHTTPRequestHandler):
    """A remote cache that stores nothing: it counts the bytes that it receives."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(404)

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        self.server.received += left
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def measure(setup):
    mib = 256 if setup.small else 5 * 1024
    workspace = Workspace(setup)
    workspace.write("make_image.py", MAKE_IMAGE)
    packages = {
        label: (package, format, targets.replace("{mib}", str(mib)))
        for label, (package, format, targets) in PACKAGES.items()
    }
    return {"size": mib, "ways": measure_packages(workspace, packages)}


def measure_packages(workspace, packages):
    """Measures the builds of an overlay on a base of each package; ends the workspace."""
    setup = workspace.setup
    found, targets = {}, {}
    for label, (package, format, text) in packages.items():
        workspace.write(f"{package}/BUILD.bazel", LOAD + text + OVERLAY.replace("{format}", format))
        targets[label] = f"//{package}:node"
    rounds = setup.rounds or (1 if setup.small else 3)
    try:
        # The first builds warm up the server; their times do not count.
        found = {label: bytes_of(workspace, target) for label, target in targets.items()}
        for kind, seconds in KINDS.items():
            ways = {
                label: lambda target=target, seconds=seconds: seconds(workspace, target)
                for label, target in targets.items()
            }
            times = in_turn(ways, rounds, setup.limit)
            for label in targets:
                found[label][kind] = spread(times[label])
    finally:
        workspace.close()
    return found


def build(workspace, target, *flags):
    """Builds an overlay and its base from nothing; returns the seconds for the actions.

    Bazel loads and analyzes the targets before, which takes the same time for each base.
    """
    workspace.bazel("clean")
    workspace.bazel("build", "--nobuild", target, *flags)
    os.sync()
    return workspace.build(target, *flags)


def build_with_disk_cache(workspace, target):
    cache = workspace.setup.directory / "cache"
    seconds = build(workspace, target, f"--disk_cache={cache}")
    shutil.rmtree(cache)
    return seconds


def build_with_remote_cache(workspace, target):
    return build_and_send(workspace, target)[0]


def build_and_send(workspace, target):
    """Returns the seconds of a build with a remote cache, and the bytes sent to the cache."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cache) as server:
        server.received = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # The cache answers only after a whole file was sent, which can take long.
        remote = f"--remote_cache=http://127.0.0.1:{server.server_port}"
        seconds = build(workspace, target, remote, "--remote_timeout=1h")
        server.shutdown()
    return seconds, server.received


# Key in results.json -> the function that runs the build.
KINDS = {"plain": build, "disk": build_with_disk_cache, "remote": build_with_remote_cache}


def bytes_of(workspace, target):
    """The bytes that a build hashes, stores in a disk cache and sends to a remote cache."""
    cache, log = workspace.setup.directory / "cache", workspace.setup.directory / "log.json"
    build(workspace, target, f"--disk_cache={cache}", f"--execution_log_json_file={log}")
    os.sync()  # blocks are allocated when they are written
    found = {
        "hashed": sum(bytes_of_outputs(log.read_text())),
        "cache": on_disk(cache),
        "length": sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()),
    }
    shutil.rmtree(cache)
    return found | {"sent": build_and_send(workspace, target)[1]}


def bytes_of_outputs(log):
    """The lengths of the outputs of all actions in Bazel's execution log. Bazel hashes each."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(log):
        spawn, at = decoder.raw_decode(log, at)
        yield from (int(file["digest"]["sizeBytes"]) for file in spawn["actualOutputs"])
        at += len(log[at:]) - len(log[at:].lstrip())


def tables(results):
    return ["", f"A base of {bytes_text(results['size'] << 20)}:", "", *tables_of(results["ways"], RAW)]


def tables_of(ways, reference):
    """The tables of `measure_packages`, with times relative to those of one label."""
    rows = []
    for label, found in ways.items():
        row = [label]
        for kind in KINDS:
            row += [*spread_text(found[kind]), ratio_text(found[kind]["median"] / ways[reference][kind]["median"])]
        rows.append(row)
    head = ["a base and an overlay"]
    for name in ["from nothing", "with a disk cache", "with a remote cache on this machine"]:
        head += [name, "least", "times raw"]
    lines = [*table(head, rows), ""]
    rows = [
        [label, *(bytes_text(found[name]) for name in ["hashed", "cache", "length", "sent"])]
        for label, found in ways.items()
    ]
    return lines + table(["bytes", "hashed", "in a disk cache", "their length", "sent to a remote cache"], rows)
