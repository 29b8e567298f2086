"""`python -m benchmarks`: all servers in turn, round after round, then the table and the picture.

A full run that loses nothing writes docs/benchmarks.md and docs/benchmarks.svg, any other the same two into
benchmarks/results; the figures of each round are in benchmarks/results/figures.json.
"""

import argparse
import json
import sys
import time

from benchmarks.launch import HERE, RESULTS, VisitError, commands, pay, raise_file_limit, running
from benchmarks.picture import draw
from benchmarks.plan import MEASURED, OURS, ROWS, SERVERS, THROTTLED, Row, Visit, only, visits
from benchmarks.report import document, medians


def main() -> int:
    """Exit status 0 if everything was measured, whatever the figures; 1 if a server or a visit failed."""
    options = _options()
    if options.list:
        print("\n".join(f"{row.name:24}{row.title}" for row in ROWS))
        return 0
    most_clients = raise_file_limit()
    rows = tuple(row for row in ROWS if not options.only or row.name in options.only)
    plan = only(visits(options.quick, most_clients), rows) if options.only else visits(options.quick, most_clients)
    figures: dict[str, list[dict[str, float]]] = {
        server: [{} for _ in range(options.rounds)] for server in options.servers
    }
    failures: list[str] = []
    for number in range(options.rounds):
        for visit in plan:
            for server in options.servers:
                if visit.includes(server):
                    figures[server][number] |= _measure(visit, server, options.ours, failures)
    _tell(options, rows, figures, failures)
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round with fewer clients: a smoke test")
    parser.add_argument("--only", type=_row_names, default=[], metavar="ROW,...", help="measure these rows alone")
    parser.add_argument("--servers", type=_servers, default=list(SERVERS), metavar=",".join(SERVERS))
    parser.add_argument(
        "--throttled", action="store_true", help="this server alone: in turn without its rate limits and with them"
    )
    parser.add_argument(
        "--measured", action="store_true", help="this server alone: in turn without metrics and asked every second"
    )
    parser.add_argument("--rounds", type=int, default=0, help="2 unless --quick")
    parser.add_argument("--ours", default="python main.py", metavar="COMMAND", help="starts this server")
    parser.add_argument("--list", action="store_true", help="name the rows")
    options = parser.parse_args()
    if options.throttled:
        options.servers = [OURS, THROTTLED]
    if options.measured:
        options.servers = [OURS, MEASURED]
    options.rounds = options.rounds or (1 if options.quick else 2)
    return options


def _row_names(text: str) -> list[str]:
    return _chosen(text, [row.name for row in ROWS])


def _servers(text: str) -> list[str]:
    return _chosen(text, list(SERVERS))


def _chosen(text: str, known: list[str]) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(known):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return chosen


def _measure(visit: Visit, server: str, ours: str, failures: list[str]) -> dict[str, float]:
    started = time.monotonic()
    try:
        with running(server, commands(ours)[server]) as process:
            figures = pay(visit, process)
    except VisitError as error:
        failures.append(f"{server}, {visit.name}: {error}")
        figures = {}
    outcome = "done" if figures else f"FAILED: {failures[-1]}"
    print(f"{server:10}{visit.name:16}{time.monotonic() - started:6.1f} s  {outcome}", file=sys.stderr)
    return figures


def _tell(
    options: argparse.Namespace,
    rows: tuple[Row, ...],
    figures: dict[str, list[dict[str, float]]],
    failures: list[str],
) -> None:
    found = medians(figures)
    full = not options.quick and not options.only and set(options.servers) == set(SERVERS) and not failures
    command = "make bench" if full else " ".join(["python -m benchmarks", *sys.argv[1:]])
    text = document(rows, found, command, options.rounds, options.quick, failures)
    target = HERE.parent / "docs" if full else RESULTS
    target.mkdir(exist_ok=True)
    (target / "benchmarks.md").write_text(text)
    if found.get(OURS):
        (target / "benchmarks.svg").write_text(draw(rows, found))
    (RESULTS / "figures.json").write_text(json.dumps({"rounds": figures, "medians": found}, indent=2))
    print(text)


if __name__ == "__main__":
    sys.exit(main())
