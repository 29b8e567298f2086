"""How straight the paths through the code are: files, moves and calls of three requests.

    python -m benchmarks.paths [--verbose] [--check]

The real application serves two clients on the loopback, with presence off and every other setting at its
default. `sys.setprofile` records the calls of Python functions in chatio/, handlers/ and main.py on the event
loop's thread. What an idle server does as well (its timers) is left out.

File: a distinct file of those.
Call: each call of a function, comprehension or lambda, and each step of a coroutine or generator.
Move: a call into another file than the call before it, where a reader has to turn to another file.

Each path is taken several times, and the run with the fewest calls is reported.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import main
from tests.client.wire import SOCKET_IO, Http, Ws

ROOT = Path(main.__file__).parent
OURS = tuple(f"{ROOT}/{part}" for part in ("chatio/", "handlers/", "main.py"))
RUNS = 6  # of each path; imports and caches are still cold in the first, which does not count
SETTLE_SECONDS = 0.06  # after the answer, for what the server still does behind it
START_SECONDS = 15.0
IDLE_SECONDS = 0.5
PASSWORD = "correct horse"


class Goal(NamedTuple):
    """The most that a path may take; None is no goal."""

    files: int
    moves: int | None = None


GOALS = {"POST /register": Goal(12), "CONNECT": Goal(25, 60), "message": Goal(15, 40)}


class Call(NamedTuple):
    """One call; `origin` is the function of ours that the event loop called, which led to it."""

    file: str
    function: str
    origin: str


class Trace:
    """The calls of one run of a path."""

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls
        self.stops = [(file, list(calls)) for file, calls in groupby(calls, key=lambda call: call.file)]
        self.files = len({call.file for call in calls})
        self.moves = len(self.stops) - 1

    def exceeds(self, goal: Goal) -> bool:
        return self.files > goal.files or (goal.moves is not None and self.moves > goal.moves)

    def lines(self) -> Iterator[str]:
        """Each file with what is called there, in order; `*`: the event loop itself made the call."""
        for number, (file, calls) in enumerate(self.stops):
            names = ", ".join(("*" if call.function == call.origin else "") + call.function for call in calls)
            yield f"{number:4}  {file:40} {names}"


class Recorder:
    """Records the calls of the thread whose profile function it is, between `start` and `stop`."""

    def __init__(self) -> None:
        self._calls: list[Call] | None = None
        self._timers: frozenset[str] = frozenset()

    def start(self) -> None:
        self._calls = []

    def stop(self) -> Trace:
        calls, self._calls = self._calls or [], None
        return Trace([call for call in calls if call.origin not in self._timers])

    def stop_idle(self) -> None:
        """Leave out of all later traces what was recorded now, without a client."""
        self._timers = frozenset(call.origin for call in self.stop().calls)

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        calls = self._calls
        if calls is not None and event == "call" and _is_ours(frame):
            calls.append(Call(_file(frame), frame.f_code.co_qualname, _origin(frame)))


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename.removeprefix(f"{ROOT}/")


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(OURS)


def _origin(frame: FrameType) -> str:
    """The outermost function of ours on the stack, except main's own, below the loop."""
    origin, caller = frame, frame.f_back
    while caller is not None:
        if _is_ours(caller) and _file(caller) != "main.py":
            origin = caller
        caller = caller.f_back
    return origin.f_code.co_qualname


class Clients:
    """Two clients of the server at `port`, which take each path `RUNS` times."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        self._port = port
        self._recorder = recorder

    async def traces(self) -> dict[str, Trace]:
        """The trace of each path, by its name in `GOALS`."""
        await asyncio.sleep(SETTLE_SECONDS)
        self._recorder.start()
        await asyncio.sleep(IDLE_SECONDS)
        self._recorder.stop_idle()
        register = await self._record(self._register)
        self._token = await self._log_in()
        connect = await self._record(self._connect_and_leave)
        self._sender, self._receiver = await self._connect(), await self._connect()
        await asyncio.sleep(SETTLE_SECONDS)
        message = await self._record(self._send)
        self._sender.close()
        self._receiver.close()
        return dict(zip(GOALS, (register, connect, message), strict=True))

    async def _record(self, path: Callable[[int], Awaitable[Callable[[], None] | None]]) -> Trace:
        traces = []
        for number in range(RUNS):
            self._recorder.start()
            undo = await path(number)
            await asyncio.sleep(SETTLE_SECONDS)
            traces.append(self._recorder.stop())
            if undo is not None:
                undo()
                await asyncio.sleep(SETTLE_SECONDS)
        return min(traces[1:], key=lambda trace: (len(trace.calls), trace.moves))

    async def _post(self, http: Http, path: str, **body: str) -> bytes:
        answer = await http.request("POST", path, json.dumps(body).encode(), Content_Type="application/json")
        assert answer.status in (200, 201), answer
        return answer.body

    async def _register(self, number: int) -> Callable[[], None]:
        http = await Http.open(self._port)
        await self._post(http, "/register", name=f"P{number}", email=f"p{number}@chat.test", password=PASSWORD)
        return http.close

    async def _log_in(self) -> str:
        http = await Http.open(self._port)
        body = await self._post(http, "/login", email="p0@chat.test", password=PASSWORD)
        http.close()
        return str(json.loads(body)["token"])

    async def _connect(self) -> Ws:
        """From the TCP connection to the answer to CONNECT, which waits for Engine.IO's OPEN as all clients do."""
        ws = await Ws.open(self._port, f"{SOCKET_IO}websocket")
        opened = await ws.receive()
        ws.send("40/chat," + json.dumps({"token": self._token}))
        connected = await ws.receive()
        assert str(opened).startswith("0{"), opened
        assert str(connected).startswith("40/chat,"), connected
        return ws

    async def _connect_and_leave(self, _: int) -> Callable[[], None]:
        return (await self._connect()).close

    async def _send(self, number: int) -> None:
        """One message, until the sender has its ack and both clients have the message."""
        message = {"id": f"m{number}", "content": "Hello", "timestamp": "10:32 AM"}
        self._sender.send(f"42/chat,{number}" + json.dumps(["send-message", message]))
        received = [await ws.receive() for ws in (self._sender, self._sender, self._receiver)]
        kinds = sorted(str(packet)[: len("42/chat,")] for packet in received)
        assert kinds == ["42/chat,", "42/chat,", "43/chat,"], received


class ClientThread(threading.Thread):
    """Runs the clients once the server at `port` listens, and then stops the server with SIGTERM."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        super().__init__()
        self.traces: dict[str, Trace] = {}
        self._port = port
        self._clients = Clients(port, recorder)

    def run(self) -> None:
        try:
            self._await_server()
            self.traces = asyncio.run(self._clients.traces())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _await_server(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return


def trace_paths() -> dict[str, Trace]:
    """Serve in this thread, which has to be the main one, and let the clients take each path."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
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
        moves = "" if goal.moves is None else f", {goal.moves} moves"
        verdict = "exceeded" if trace.exceeds(goal) else "met"
        print(
            f"{name:16}{trace.files:6}{trace.moves:6}{len(trace.calls):6}   {goal.files} files{moves}: {verdict}"
        )
    if options.verbose:
        for name, trace in traces.items():
            print(f"\n{name}: file, functions called there (* by the event loop itself)")
            print("\n".join(trace.lines()))
    exceeded = any(trace.exceeds(GOALS[name]) for name, trace in traces.items())
    return 1 if options.check and exceeded else 0


if __name__ == "__main__":
    sys.exit(run())
