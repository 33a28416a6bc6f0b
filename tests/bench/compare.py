"""Measures overlays and the alternatives in turn, and shows them as tables and a chart.

    ./bazelw run -c opt //tests/bench:compare -- [PART...] [--small] [--directory DIR]

The parts are disks, targets, bases, compressed, convert, boot, warm and writes; the default is all of them.
It prints the tables, and updates results.json and chart.svg beside this file for the parts that
ran. With --small everything is small and quick, and the two files are not changed.
"""

import argparse
import json
import os
import pathlib
import re
import tempfile

import bases
import boot
import chart
import compressed
import convert
import copies
import targets
import warm
import writes

PARTS = {
    "disks": copies,
    "targets": targets,
    "bases": bases,
    "compressed": compressed,
    "convert": convert,
    "boot": boot,
    "warm": warm,
    "writes": writes,
}


class Setup:
    """The settings for the parts: programs, files, and how much to do."""

    def __init__(self, options, directory):
        self.directory = pathlib.Path(directory)
        self.workspace = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
        self.tool = pathlib.Path(os.environ["QCOW2_OVERLAY"]).resolve()
        self.kernel = os.environ.get("KERNEL")
        self.node_image = os.environ.get("NODE_IMAGE")
        self.small = options.small
        self.rounds = options.rounds
        # A way that has taken this many seconds is left out of the remaining rounds.
        self.limit = 3 if options.small else 30


def json_text(results):
    """The results as JSON, with each measurement on a line of its own."""
    text = json.dumps(results, indent=1)
    return re.sub(r"\{[^{}]*\}|\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="compare", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--small", action="store_true", help="small and quick, for a trial")
    parser.add_argument("--rounds", type=int, help="the maximum number of runs of each way")
    parser.add_argument("--directory", help="where to make the temporary directory")
    parser.add_argument("--tables", action="store_true", help="show the tables of results.json, run nothing")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"{part!r} is not a part: give some of {', '.join(PARTS)}")

    bench = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"]) / "tests/bench"
    kept = bench / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for name in options.parts or PARTS:
        if not options.tables:
            before = os.getloadavg()[0]
            with tempfile.TemporaryDirectory(dir=options.directory, prefix="compare-") as directory:
                results[name] = PARTS[name].measure(Setup(options, directory))
            results[name]["load"] = [round(before, 1), round(os.getloadavg()[0], 1)]
            if not options.small:
                kept.write_text(json_text(results))
        if name in results:
            before, after = results[name]["load"]
            print(f"\n## {PARTS[name].TITLE}\n\nLoad of the machine: {before} before, {after} after.")
            print("\n".join(PARTS[name].tables(results[name])), flush=True)
    if not options.small:
        (bench / "chart.svg").write_text(chart.draw(results))


if __name__ == "__main__":
    main()
