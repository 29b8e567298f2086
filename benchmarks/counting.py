"""What it costs to count for the metrics, which the server does whether or not anybody asks for them.

    python -m benchmarks.counting [ROUNDS]

One process counts and does not in turns of 50 ms, since two runs differ by more than what is looked for. Printed
is the median, over pairs of neighbouring turns, of the CPU a delivery or connect with counting over that without.
"""

import json
import statistics
import sys
from itertools import pairwise

from benchmarks.launch import RESULTS, pay, raise_file_limit, running
from benchmarks.plan import ROWS, only, visits

NAME = "alternating"
COMMAND = [sys.executable, "-m", "benchmarks.alternating_server"]
# Which row, the column of its turns, and how many a turn must have to say anything.
MEASURED = (("one", 1, 2_000), ("fifty", 1, 2_000), ("connect", 2, 20))


def main(rounds: int) -> None:
    most_clients = raise_file_limit()
    for name, column, least in MEASURED:
        (visit,) = only(visits(quick=False, most_clients=most_clients), tuple(r for r in ROWS if r.name == name))
        ratios: list[float] = []
        for _ in range(rounds):
            with running(NAME, COMMAND) as server:
                pay(visit, server)
            turns = json.loads((RESULTS / f"{NAME}.log").read_text().splitlines()[-1])
            ratios += ratios_of(turns, column, least)
        error = 1.25 * statistics.stdev(ratios) / len(ratios) ** 0.5
        print(f"{name:10}{statistics.median(ratios):.3f} ± {error:.3f}, {len(ratios)} pairs", flush=True)


def ratios_of(turns: list[list[float]], column: int, least: int) -> list[float]:
    found = []
    for number, (one, other) in enumerate(pairwise(turns)):
        if min(one[column], other[column]) >= least:
            ratio = (one[0] / one[column]) / (other[0] / other[column])
            found.append(ratio if number % 2 == 0 else 1 / ratio)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
