"""Measure the servers in turn, round after round, and write the table and the picture.

    python -m benchmarks                                            all servers: `make bench`
    python -m benchmarks --servers ours,node --only one,connect     some servers, some rows
    python -m benchmarks --baseline ../before --only one,connect    two checkouts of this repository
    python -m benchmarks --stores                                   this server in memory, on SQLite, on PostgreSQL

A full run without a failure writes docs/benchmarks.md and docs/benchmarks.svg, with --stores
docs/benchmarks-stores.md. Any other run writes the same files to benchmarks/results. The figures of each round are
in benchmarks/results/figures.json.

With --baseline, the server "before" is main.py of that checkout, run by the .venv of that checkout. The servers
of a run are measured in turn (A B A B), so figures compare within one run.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.launch import (
    HERE,
    OWN_COMMAND,
    RESULTS,
    BenchmarkError,
    commands,
    raise_file_limit,
    run_scenario,
    running,
)
from benchmarks.picture import draw
from benchmarks.plan import (
    BEFORE,
    MEASURED,
    OURS,
    ROWS,
    SERVERS,
    STORES,
    THROTTLED,
    Row,
    Scenario,
    only,
    scenarios,
    store_scenarios,
)
from benchmarks.report import document, medians, store_document


def main() -> int:
    """Exit status 0 if everything was measured, whatever the figures; 1 if a server or a scenario failed."""
    options = _options()
    if options.list:
        print("\n".join(f"{row.name:24}{row.title}" for row in ROWS))
        return 0
    rows = tuple(row for row in ROWS if not options.only or row.name in options.only)
    files = raise_file_limit()
    plan = store_scenarios(options.quick) if options.stores else scenarios(options.quick, files)
    if options.only:
        plan = only(plan, rows)
    starts = commands(options.ours, options.baseline)
    figures: dict[str, list[dict[str, float]]] = {
        server: [{} for _ in range(options.rounds)] for server in options.servers
    }
    failures: list[str] = []
    for number in range(options.rounds):
        for scenario in plan:
            for server in options.servers:
                if scenario.includes(server):
                    figures[server][number] |= _measure(scenario, server, starts[server], failures)
    _report(options, rows, figures, failures)
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round with fewer clients: a smoke test")
    parser.add_argument("--only", type=_row_names, default=[], metavar="ROW,...", help="measure only these rows")
    parser.add_argument("--servers", type=_servers, default=[], metavar=",".join((*SERVERS, BEFORE)))
    variants = parser.add_mutually_exclusive_group()
    variants.add_argument(
        "--baseline", type=_checkout, metavar="PATH", help='another checkout of this repository: server "before"'
    )
    variants.add_argument(
        "--throttled", action="store_true", help="only this server: in turn without its rate limits and with them"
    )
    variants.add_argument(
        "--stores", action="store_true", help="only this server: in turn in memory and with each database"
    )
    variants.add_argument(
        "--measured",
        action="store_true",
        help="only this server: in turn without metrics and with them",
    )
    parser.add_argument("--rounds", type=int, default=0, help="2 unless --quick")
    parser.add_argument("--ours", default=OWN_COMMAND, metavar="COMMAND", help="the command of this server")
    parser.add_argument("--list", action="store_true", help="list the rows")
    options = parser.parse_args()
    if BEFORE in options.servers and options.baseline is None:
        parser.error(f'the server "{BEFORE}" needs --baseline PATH')
    if options.throttled:
        options.servers = [OURS, THROTTLED]
    elif options.stores:
        options.servers = [OURS, *STORES]
    elif options.measured:
        options.servers = [OURS, MEASURED]
    elif not options.servers:
        options.servers = list(SERVERS) if options.baseline is None else [OURS, BEFORE]
    options.rounds = options.rounds or (1 if options.quick else 2)
    return options


def _checkout(text: str) -> Path:
    path = Path(text).resolve()
    for part in ("main.py", ".venv/bin/python"):
        if not (path / part).exists():
            raise argparse.ArgumentTypeError(f"{path / part} does not exist")
    return path


def _row_names(text: str) -> list[str]:
    return _chosen(text, [row.name for row in ROWS])


def _servers(text: str) -> list[str]:
    return _chosen(text, [*SERVERS, BEFORE])


def _chosen(text: str, known: list[str]) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(known):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return chosen


def _measure(scenario: Scenario, server: str, command: list[str], failures: list[str]) -> dict[str, float]:
    started = time.monotonic()
    try:
        with running(server, command) as process:
            figures = run_scenario(scenario, process)
    except BenchmarkError as error:
        failures.append(f"{server}, {scenario.name}: {error}")
        figures = {}
    outcome = "done" if figures else f"FAILED: {failures[-1]}"
    print(f"{server:10}{scenario.name:16}{time.monotonic() - started:6.1f} s  {outcome}", file=sys.stderr)
    return figures


def _report(
    options: argparse.Namespace,
    rows: tuple[Row, ...],
    figures: dict[str, list[dict[str, float]]],
    failures: list[str],
) -> None:
    found = medians(figures)
    full = not options.quick and not options.only and not failures
    full = full and (options.stores or set(options.servers) == set(SERVERS))
    command = (
        "make bench"
        if full and not options.stores
        else " ".join([".venv/bin/python -m benchmarks", *sys.argv[1:]])
    )
    target = HERE.parent / "docs" if full else RESULTS
    target.mkdir(exist_ok=True)
    if options.stores:
        text = store_document(found, command, options.rounds, options.quick, failures)
        (target / "benchmarks-stores.md").write_text(text)
    else:
        text = document(rows, figures, command, options.rounds, options.quick, failures)
        (target / "benchmarks.md").write_text(text)
        if found.get(OURS):
            (target / "benchmarks.svg").write_text(draw(rows, found))
    (RESULTS / "figures.json").write_text(json.dumps({"rounds": figures, "medians": found}, indent=2))
    print(text)


if __name__ == "__main__":
    sys.exit(main())
