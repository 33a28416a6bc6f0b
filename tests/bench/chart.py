"""Draws the chart of the README: bars, as SVG for light and dark pages."""

import math
from xml.sax.saxutils import escape

import bases
import boot
import targets
from measure import bytes_text, time_text

WIDTH, LABELS, BAR, GAP = 780, 270, 16, 8
VALUES = 80  # room for a value after its bar

STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600 }
    .ours { fill: #2f81f7 }
    .other { fill: #9aa4af }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .other { fill: #6e7681 }
    }
"""


def draw(results):
    parts, top = [], 0
    for panel in panels(results):
        lines, height = draw_panel(*panel)
        parts.append(f'  <g transform="translate(0 {top})">\n{lines}  </g>\n')
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">\n'
        f"  <style>{STYLE}  </style>\n{''.join(parts)}</svg>\n"
    )


def panels(results):
    """Yields title, bars (label, value, whether it is ours), the format of values, whether logarithmic."""
    for case in results.get("disks", {}).get("cases", []):
        if (case["size"], case["count"]) == (1024, 8):
            ways = {name.replace("`", ""): way for name, way in case["ways"].items() if "median" in way}
            what = "Eight writable disks from a node image of 1 GiB"
            for title, key, show in [("time", "median", time_text), ("on disk", "bytes", bytes_text)]:
                bars = [(name.partition(",")[0], way[key], "overlay" in name) for name, way in ways.items()]
                yield f"{what}: {title} (logarithmic)", bars, show, True
    if "targets" in results:
        shown = [targets.WRITE, targets.RUN, targets.GENRULE, targets.OVERLAY]
        labels = results["targets"]["labels"]
        bars = [(name.replace("`", ""), labels[name]["cold"]["median"], "overlay" in name) for name in shown]
        yield "1,000 Bazel targets, built from nothing", bars, time_text, False
    if "bases" in results:
        ways = {name.replace("`", ""): way for name, way in results["bases"]["ways"].items()}
        what = f"A base of {bytes_text(results['bases']['size'] << 20)} with 12 % data, and an overlay"
        bars = [(name, way["plain"]["median"], name != bases.RAW) for name, way in ways.items()]
        yield f"{what}: built from nothing", bars, time_text, False
        bars = [(name, way["sent"], name != bases.RAW) for name, way in ways.items()]
        yield f"{what}: sent to a remote cache", bars, bytes_text, False
    if "convert" in results:
        for name, ways in results["convert"]["cases"].items():
            if "5 GiB" in name or "zlib" in name:
                bars = [(way.replace("`", ""), found["median"], "overlay" in way) for way, found in ways.items()]
                yield f"Converted to qcow2: {name}", bars, time_text, False
    if "warm" in results:
        ways = results["warm"]["ways"]
        bars = [(name, ways[name]["median"], "warm" in name) for name in ["boot three", "warm start three"]]
        yield "Three Linux nodes answer their first command", bars, time_text, False
    if "boot" in results:
        kinds = results["boot"]["kinds"]
        bars = [
            (kind, found["made"]["median"] + found["boot"]["median"], kind != boot.COPY)
            for kind, found in kinds.items()
        ]
        yield "A Linux guest of 1 GiB: its disk is made and it boots", bars, time_text, False


def draw_panel(title, bars, show, logarithmic):
    lines = f'    <text class="title" x="0" y="16">{escape(title)}</text>\n'
    y = 28
    for label, value, ours in bars:
        width = bar_width(value, [value for _, value, _ in bars], logarithmic)
        kind = "ours" if ours else "other"
        lines += (
            f'    <text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>\n'
            f'    <rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2"/>\n'
            f'    <text x="{LABELS + width + 6:.0f}" y="{y + 13}">{escape(show(value))}</text>\n'
        )
        y += BAR + GAP
    return lines, y + 14


def bar_width(value, values, logarithmic):
    room = WIDTH - LABELS - VALUES
    if not logarithmic:
        return room * value / max(values)
    # The axis begins at half the least value, so that the least value has a bar too.
    start = math.log(min(values) / 2)
    return room * (math.log(value) - start) / (math.log(max(values)) - start)
