"""Runs several ways of doing the same thing in turn, and formats their times."""

import os
import statistics
import subprocess
import time


def in_turn(ways, rounds, limit):
    """Returns the sorted seconds of each way: name -> list.

    A way is a function that returns its seconds. Each round runs all ways, every second one in
    the opposite order, so that what disturbs the machine disturbs all. A way that has taken
    `limit` seconds in total is left out of the remaining rounds, but not before its third run
    if each run takes less than twice the limit.
    """
    times = {name: [] for name in ways}
    order = list(ways)
    for _ in range(rounds):
        for name in order:
            runs = times[name]
            if sum(runs) < limit or (len(runs) < 3 and max(runs) < 2 * limit):
                runs.append(ways[name]())
        order.reverse()
    return {name: sorted(seconds) for name, seconds in times.items()}


def seconds_of(action):
    # Earlier writes must not count.
    os.sync()
    start = time.monotonic()
    action()
    return time.monotonic() - start


def run(*command, **options):
    """Runs a command that must succeed; returns its output."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def on_disk(path):
    """The bytes that a file, or all files in a directory tree, take on disk."""
    if path.is_dir():
        return sum(on_disk(entry) for entry in path.iterdir())
    return path.stat().st_blocks * 512


def spread(seconds):
    """What results.json keeps of the sorted times of a way, in seconds."""
    return {"median": round(statistics.median(seconds), 6), "least": round(seconds[0], 6), "runs": len(seconds)}


def time_text(seconds):
    if seconds < 0.1:
        return f"{1000 * seconds:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def spread_text(found):
    """Two columns of a table for a result of `spread`: median and least."""
    return [time_text(found["median"]), time_text(found["least"])]


def bytes_text(number):
    for unit in ["B", "KiB", "MiB", "GiB"]:
        if number < 1024 or unit == "GiB":
            return f"{number:.1f}".removesuffix(".0") + f" {unit}"
        number /= 1024


def ratio_text(ratio):
    return f"{ratio:,.0f}" if ratio >= 20 else f"{ratio:.2g}" if ratio < 1 else f"{ratio:.1f}"


def table(head, rows):
    """Lines of a Markdown table; all columns but the first are numbers."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
