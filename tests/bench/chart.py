"""Draws the chart of the README: bars, as SVG for light and dark pages."""

import math
from xml.sax.saxutils import escape

import bases
import convert
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
    """Yields title, bars (label, value, whether it is ours), and whether they are logarithmic."""
    for case in results.get("disks", {}).get("cases", []):
        if (case["size"], case["count"]) == (1024, 8):
            ways = {name.replace("`", ""): way for name, way in case["ways"].items() if "median" in way}
            bars = [(name.partition(",")[0], way["median"], "overlay" in name) for name, way in ways.items()]
            yield "Eight writable disks from a node image of 1 GiB (logarithmic)", bars, True
    if "bases" in results:
        names = {bases.RAW: "raw", bases.CONVERTED: "qcow2_image", bases.GENRULE: "genrule with convert"}
        ways = results["bases"]["ways"]
        bars = [(name, ways[label]["plain"]["median"], label != bases.RAW) for label, name in names.items()]
        title = (
            f"A base of {bytes_text(results['bases']['size'] << 20)} with 12 % data, and an overlay, built from nothing"
        )
        yield title, bars, False
    if "compressed" in results.get("convert", {}):
        ways = {
            "": results["convert"]["cases"]["raw, 1 GiB with 60 % data"],
            " -c, zstd": results["convert"]["compressed"]["zstd"],
        }
        bars = [
            (name.replace("`", "") + option, found["median"], name == convert.OURS)
            for option, found_of in ways.items()
            for name, found in found_of.items()
            if name != convert.COPY
        ]
        yield "Raw images of 1 GiB converted to qcow2", bars, False
    if "warm" in results:
        names = {"boot three": "boot", "warm start three": "start from a saved state"}
        ways = results["warm"]["ways"]
        bars = [(name, ways[way]["median"], "warm" in way) for way, name in names.items()]
        yield "Three Linux nodes answer their first command", bars, False


def draw_panel(title, bars, logarithmic):
    lines = f'    <text class="title" x="0" y="16">{escape(title)}</text>\n'
    y = 28
    for label, value, ours in bars:
        width = bar_width(value, [value for _, value, _ in bars], logarithmic)
        kind = "ours" if ours else "other"
        lines += (
            f'    <text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>\n'
            f'    <rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2"/>\n'
            f'    <text x="{LABELS + width + 6:.0f}" y="{y + 13}">{escape(time_text(value))}</text>\n'
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
