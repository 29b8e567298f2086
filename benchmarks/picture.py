"""The main rows as an SVG of small bar charts, each with a scale of its own from zero."""

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.plan import BUN, NODE, OURS, PLAIN, Row
from benchmarks.report import NAMES, Medians, number

_SHOWN = ("one", "fifty", "rate", "p99-fifty", "p99-paced", "connect", "memory-2000", "memory-10000")
_COLOURS = {OURS: "#1a7f5a", NODE: "#6b7280", BUN: "#b4637a", PLAIN: "#c9a24b"}
_COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT = 2, 440, 125
_LEFT, _TOP, _BAR, _PITCH, _LONGEST = 20, 56, 16, 21, 320


def draw(rows: Sequence[Row], found: Medians) -> str:
    """The picture, without the rows that were not measured for this server."""
    shown = [row for row in rows if row.name in _SHOWN and row.figure in found.get(OURS, {})]
    lines = -(-len(shown) // _COLUMNS)
    width, height = _COLUMNS * _PANEL_WIDTH + _LEFT, _TOP + lines * _PANEL_HEIGHT
    body = [*_legend(), *(mark for place, row in enumerate(shown) for mark in _panel(row, found, place))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Benchmarks of this server, Node, Bun and python-socketio" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1f2937">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _legend() -> Iterator[str]:
    for place, (server, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + place * 210
        yield f'<rect x="{x}" y="18" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 18}" y="28">{escape(NAMES[server])}</text>'


def _panel(row: Row, found: Medians, place: int) -> Iterator[str]:
    x = _LEFT + place % _COLUMNS * _PANEL_WIDTH
    y = _TOP + place // _COLUMNS * _PANEL_HEIGHT
    better = "more is better" if row.at_least else "less is better"
    yield f'<text x="{x}" y="{y + 12}"><tspan font-weight="600">{escape(row.title)}</tspan>'
    yield f'<tspan fill="#6b7280"> · {escape(row.unit)}, {better}</tspan></text>'
    values = {server: found[server][row.figure] for server in _COLOURS if row.figure in found.get(server, {})}
    longest = max(values.values()) or 1.0
    for line, (server, value) in enumerate(values.items()):
        bar, top = max(1.0, value / longest * _LONGEST), y + 22 + line * _PITCH
        yield f'<rect x="{x}" y="{top}" width="{bar:.1f}" height="{_BAR}" fill="{_COLOURS[server]}"/>'
        yield f'<text x="{x + bar + 6:.1f}" y="{top + 12}">{number(value)}</text>'
