"""The figures of a run as text: medians, ratios, goals met or not, and the machine and versions."""

import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.plan import (
    ACK_RATES,
    BEFORE,
    BUN,
    MEASURED,
    NODE,
    OURS,
    PLAIN,
    POSTGRES,
    SQLITE,
    STORES,
    THROTTLED,
    Row,
)

Rounds = dict[str, list[dict[str, float]]]  # server, the figures of each round
Medians = dict[str, dict[str, float]]  # server, figure

NAMES = {
    OURS: "this server",
    NODE: "Node, Socket.IO",
    BUN: "Bun, Socket.IO with its engine",
    PLAIN: "python-socketio as it comes",
    BEFORE: "this server, before",
    THROTTLED: "this server, rate limits on",
    MEASURED: "this server, asked for metrics every second",
    SQLITE: "this server, SQLite",
    POSTGRES: "this server, PostgreSQL",
}
_BUSY = 0.9  # of one core: a process above this share could not have done more
_NOT_MEASURED = "-"
_PACKAGES = Path(__file__).parent / "node_modules"


def medians(rounds: Rounds) -> Medians:
    """The median of each figure over the rounds it was measured in."""
    return {
        server: {
            figure: statistics.median([measured[figure] for measured in runs if figure in measured])
            for figure in {figure for measured in runs for figure in measured}
        }
        for server, runs in rounds.items()
    }


def ratio(row: Row, found: Medians) -> float | None:
    """The ratio that the row's goal is for. None if one of its figures was not measured."""
    base = found.get(OURS, {}).get(row.baseline) if row.baseline else found.get(NODE, {}).get(row.figure)
    return _share(found.get(OURS, {}).get(row.figure), base)


def _share(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def number(value: float | None) -> str:
    """Three significant digits, thousands with commas; a dash for a figure that was not measured."""
    if value is None:
        return _NOT_MEASURED
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: Sequence[Row], found: Medians) -> Iterator[str]:
    """The goals as a Markdown table."""
    yield "| what | unit | this server | Node | Bun | as it comes | to Node: goal | to Bun: goal |"
    yield "| --- | --- | --: | --: | --: | --: | --: | --: |"
    for row in rows:
        figures = [found.get(server, {}).get(row.figure) for server in (OURS, NODE, BUN, PLAIN)]
        values = " | ".join(map(number, figures))
        to_bun = None if row.baseline else _share(figures[0], figures[2])
        verdicts = f"{_verdict(row, ratio(row, found), row.goal)} | {_verdict(row, to_bun, row.bun_goal)}"
        yield f"| {row.title} | {row.unit} | {values} | {verdicts} |"


def _verdict(row: Row, reached: float | None, goal: float | None) -> str:
    """A ratio and its goal, in bold letters if it is not met."""
    if reached is None or goal is None:
        return number(reached)
    text = f"{number(reached)}: {'≥' if row.at_least else '≤'} {goal:g}"
    return text if row.met(reached, goal) else f"**{text} not met**"


def compared(rows: Sequence[Row], found: Medians, variant: str) -> Iterator[str]:
    """This server and a variant of it as a Markdown table."""
    yield f"| what | unit | {NAMES[OURS]} | {NAMES[variant]} | ratio |"
    yield "| --- | --- | --: | --: | --: |"
    for row in rows:
        ours, other = found.get(OURS, {}).get(row.figure), found[variant].get(row.figure)
        yield f"| {row.title} | {row.unit} | {number(ours)} | {number(other)} | {number(_share(other, ours))} |"


def before_and_now(rows: Sequence[Row], rounds: Rounds) -> Iterator[str]:
    """Two checkouts of this server as a Markdown table: medians, and the ratios within each round.

    A machine that others share is as fast in a round's two halves, but not in two rounds: the median of the ratios
    is steadier than the ratio of the medians. Their range tells what the run can tell apart.
    """
    found = medians(rounds)
    yield "| what | unit | before | now | now / before, of each round | before / Node | now / Node |"
    yield "| --- | --- | --: | --: | --: | --: | --: |"
    for row in rows:
        before, now, node = (found.get(server, {}).get(row.figure) for server in (BEFORE, OURS, NODE))
        pairs = zip(rounds[OURS], rounds[BEFORE], strict=True)
        ratios = [share for a, b in pairs if (share := _share(a.get(row.figure), b.get(row.figure))) is not None]
        spread = f"{number(statistics.median(ratios))} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
        cells = (number(before), number(now), spread, number(_share(before, node)), number(_share(now, node)))
        yield f"| {row.title} | {row.unit} | {' | '.join(cells)} |"


def stores(found: Medians) -> Iterator[str]:
    """What a database costs, as a Markdown table: CPU as a ratio to memory, acks as a difference to it."""
    yield "| what | unit | memory | SQLite | PostgreSQL | goals | |"
    yield "| --- | --- | --: | --: | --: | --- | --- |"
    rows = [("CPU per delivery, 1 sender", "one.cpu_us", (math.inf, math.inf))]
    rows += [("CPU per delivery, 50 senders", "fifty.cpu_us", (1.3, 1.3))]
    for rate in ACK_RATES:
        rows += [(f"ack p50, {rate:,} messages/s", f"acks_{rate}.p50_ms", (2.0, 4.0))]
        rows += [(f"ack p99, {rate:,} messages/s", f"acks_{rate}.p99_ms", (math.inf, math.inf))]
    for title, figure, goals in rows:
        is_cpu = figure.endswith("cpu_us")
        base = found.get(OURS, {}).get(figure)
        cells, met = [], []
        for store, goal in zip(STORES, goals, strict=True):
            value = found.get(store, {}).get(figure)
            cost = None if value is None or base is None else value / base if is_cpu else value - base
            cells.append(f"{number(value)} ({'x' if is_cpu else '+'} {number(cost)})")
            met += [] if cost is None or goal == math.inf else [cost <= goal]
        wanted = f"{'x' if is_cpu else '+'} ≤ {' and '.join(f'{goal:g}' for goal in goals)}" if met else ""
        verdict = "" if not met else "met" if all(met) else "**not met**"
        unit = "µs CPU" if is_cpu else "ms"
        yield f"| {title} | {unit} | {number(base)} | {' | '.join(cells)} | {wanted} | {verdict} |"


def growth(found: Medians) -> Iterator[str]:
    """CPU of a delivery by the number of clients, one sender, as a Markdown table; empty if not measured."""
    sizes = {"100": "clients_100", "500": "one", "2,000": "clients_2000", "10,000": "clients_10000"}
    lines = {
        server: [number(figures.get(f"{label}.cpu_us")) for label in sizes.values()]
        for server, figures in found.items()
    }
    if any(value != _NOT_MEASURED for values in lines.values() for value in values):
        yield f"| CPU µs a delivery, 1 sender, clients: | {' | '.join(sizes)} |"
        yield "| --- |" + " --: |" * len(sizes)
        for server, values in lines.items():
            yield f"| {NAMES[server]} | {' | '.join(values)} |"


def load_tool(found: Medians) -> Iterator[str]:
    """CPU of the load process itself, and the steps in which it was the limit, not the server."""
    for server, figures in found.items():
        costs = {name.partition(".")[0]: cost for name, cost in figures.items() if name.endswith(".load_us")}
        if costs:
            costs_text = ", ".join(f"{label} {number(cost)}" for label, cost in sorted(costs.items()))
            yield f"- {NAMES[server]}: {costs_text} µs a delivery."
        for label in sorted(costs):
            if figures[f"{label}.load_busy"] > _BUSY:
                yield f"- {NAMES[server]}, {label}: **the load tool was the limit**; the server can do more."


def machine() -> Iterator[str]:
    """Hardware and versions as a Markdown list; no names of machines or users."""
    yield f"- {os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}; loopback"
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tornado", "python-socketio")]
    yield f"- Python {platform.python_version()}, {', '.join(versions)}"
    if _PACKAGES.exists():
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
        socket_io, bun, engine = map(_version, ("socket.io", "bun", "@socket.io/bun-engine"))
        yield f"- Node {node}, Bun {bun} with bun-engine {engine}, socket.io {socket_io}"


def _version(package: str) -> str:
    return str(json.loads((_PACKAGES / package / "package.json").read_text())["version"])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _main_table(rows: Sequence[Row], measured: Rounds, found: Medians) -> Iterator[str]:
    if BEFORE in found:
        return before_and_now(rows, measured)
    variant = next((variant for variant in (THROTTLED, MEASURED) if variant in found), None)
    return table(rows, found) if variant is None else compared(rows, found, variant)


def store_document(found: Medians, command: str, rounds: int, quick: bool, failures: Sequence[str]) -> str:
    """What the databases cost, as Markdown."""
    parts = [
        ["# Benchmarks of the databases"],
        [
            f"`{command}`: {rounds} {'round' if rounds == 1 else 'rounds'}, in turn, medians.",
            "Figures compare within a run alone. In brackets: the ratio, or the difference, to memory. CPU is the",
            "server's own, with its threads, at 500 clients; acks are those of 20 senders among 50 clients.",
            "PostgreSQL runs on the same machine.",
            *(["**A smoke test: fewer clients, a quarter of the time.**"] if quick else []),
        ],
        list(machine()),
        list(stores(found)),
        [f"- **failed**: {failure}" for failure in failures],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def document(
    rows: Sequence[Row], measured: Rounds, command: str, rounds: int, quick: bool, failures: Sequence[str]
) -> str:
    """The whole report as Markdown."""
    found = medians(measured)
    parts = [
        ["# Benchmarks"],
        [
            f"`{command}`: {rounds} {'round' if rounds == 1 else 'rounds'}, servers in turn, medians.",
            "Figures compare within a run alone. Unless a row says otherwise, the ratio is to Node's figure,",
            "texts have 200 bytes, and 500 clients are connected by WebSocket. CPU and memory (PSS) are the",
            "server's own.",
            *(["**A smoke test: fewer clients than the rows say, a quarter of the time.**"] if quick else []),
        ],
        list(machine()),
        list(_main_table(rows, measured, found)),
        list(growth(found)),
        ["The load tool's own CPU:", "", *load_tool(found)],
        [f"- **failed**: {failure}" for failure in failures],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"
