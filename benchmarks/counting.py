"""The CPU cost of counting for the metrics, which the server does even if no operator reads them.

    python -m benchmarks.counting [ROUNDS]

Two runs differ by more than this cost, so one process counts in every other period of 50 ms. Printed for each row
is the median ratio, over pairs of neighbouring periods, of the CPU of a delivery or connect with counting to that
without.
"""

import json
import statistics
import sys
from itertools import pairwise

from benchmarks.launch import RESULTS, raise_file_limit, run_scenario, running
from benchmarks.plan import ROWS, only, scenarios

NAME = "alternating"
COMMAND = [sys.executable, "-m", "benchmarks.alternating_server"]
# A row, its column in a period, and the least that a period must have of it to be compared.
MEASURED = (("one", 1, 2_000), ("fifty", 1, 2_000), ("connect", 2, 20))


def main(rounds: int) -> None:
    everything = scenarios(quick=False, most_clients=raise_file_limit())
    for name, column, least in MEASURED:
        (scenario,) = only(everything, tuple(row for row in ROWS if row.name == name))
        ratios: list[float] = []
        for _ in range(rounds):
            with running(NAME, COMMAND) as server:
                run_scenario(scenario, server)
            periods = json.loads((RESULTS / f"{NAME}.log").read_text().splitlines()[-1])
            ratios += ratios_of(periods, column, least)
        error = 1.25 * statistics.stdev(ratios) / len(ratios) ** 0.5
        print(f"{name:10}{statistics.median(ratios):.3f} ± {error:.3f}, {len(ratios)} pairs", flush=True)


def ratios_of(periods: list[list[float]], column: int, least: int) -> list[float]:
    """For each pair of neighbours, the cost in the period that counts over that in the other."""
    found = []
    for number, (one, other) in enumerate(pairwise(periods)):
        if min(one[column], other[column]) >= least:
            ratio = (one[0] / one[column]) / (other[0] / other[column])
            found.append(ratio if number % 2 == 0 else 1 / ratio)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
