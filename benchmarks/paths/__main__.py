"""Paths through the code: the files, moves and calls that three requests take.

    python -m benchmarks.paths [--verbose] [--check]

The real application serves two clients on the loopback, with presence off and every other setting at its
default. `sys.setprofile` records the calls of Python functions in chatio/, handlers/ and main.py on the event
loop's thread. The timers of an idle server are left out.

File: a distinct file of those.
Call: each call of a function, comprehension or lambda, and each step of a coroutine or generator.
Move: a call into another file than the call before it, where a reader has to turn to another file.

Each path is taken several times, and the run with the fewest calls is reported.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading

import main
from benchmarks.paths.clients import Clients
from benchmarks.paths.trace import Goal, Recorder, Trace
from tests.ports import await_port, free_port

START_SECONDS = 15.0
GOALS = {"POST /register": Goal(19, 58), "CONNECT": Goal(25, 60), "message": Goal(15, 37)}  # none may grow


class ClientThread(threading.Thread):
    """Runs the clients once the server at `port` listens, and then stops the server with SIGTERM."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        super().__init__()
        self.traces: dict[str, Trace] = {}
        self._port = port
        self._clients = Clients(port, recorder)

    def run(self) -> None:
        try:
            await_port(self._port, START_SECONDS)
            self.traces = asyncio.run(self._clients.traces())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)


def trace_paths() -> dict[str, Trace]:
    """Serve in this thread, which has to be the main one, and let the clients take each path."""
    port = free_port()
    os.environ |= {
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
        "JWT_SECRET_KEY": "k" * 32,
        "PRESENCE": "off",
        "LOG_LEVEL": "ERROR",
    }
    recorder = Recorder()
    visitors = ClientThread(port, recorder)
    visitors.start()
    sys.setprofile(recorder.profile)
    main.main(["--env-file", os.devnull])
    sys.setprofile(None)
    visitors.join()
    return visitors.traces


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paths", description=__doc__.partition("\n")[0])
    parser.add_argument("--verbose", action="store_true", help="print every move, and the functions called")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a path exceeds its goal")
    options = parser.parse_args()
    traces = trace_paths()
    if not traces:
        return 1
    print(f"{'path':16}{'files':>6}{'moves':>6}{'calls':>6}   goal")
    for name, trace in traces.items():
        goal = GOALS[name]
        verdict = f"{goal.files} files, {goal.moves} moves: {'exceeded' if trace.exceeds(goal) else 'met'}"
        print(f"{name:16}{trace.files:6}{trace.moves:6}{len(trace.calls):6}   {verdict}")
    if options.verbose:
        for name, trace in traces.items():
            print(f"\n{name}: file, functions called there (* by the event loop itself)")
            print("\n".join(trace.lines()))
    exceeded = any(trace.exceeds(GOALS[name]) for name, trace in traces.items())
    return 1 if options.check and exceeded else 0


if __name__ == "__main__":
    sys.exit(run())
