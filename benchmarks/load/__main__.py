"""The load process: takes a job as JSON on its standard input, prints the figures as JSON.

The job is `{"port", "pid", "secret", "upgraded", "steps": [...]}`. Exit status 3: a client was lost, and
stderr says in which step.
"""

import gc
import json
import subprocess
import sys

from benchmarks.load.session import Session
from benchmarks.load.swarm import LostError
from benchmarks.plan import Step


def main() -> None:
    job = json.load(sys.stdin)
    session = Session(job["port"], job["pid"], job["secret"], job["upgraded"])
    figures: dict[str, float] = {}
    gc.freeze()
    gc.disable()  # its pauses would be counted as delivery time, and nothing here makes cycles
    try:
        for step in (Step(**fields) for fields in job["steps"]):
            for name, value in session.run(step).items():
                figures[f"{step.label}.{name}"] = value
    except (LostError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"{step.label}: {error}", file=sys.stderr)
        sys.exit(3)
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
