"""Recording of calls between the product's files."""

from asyncio import Handle
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import main

ROOT = Path(main.__file__).parent
OURS = tuple(f"{ROOT}/{part}" for part in ("chatio/", "handlers/", "main.py"))


class Goal(NamedTuple):
    """The most that a path may take."""

    files: int
    moves: int


class Call(NamedTuple):
    """One call; `origin`: the function of ours that the event loop had called before, or this one."""

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
        return self.files > goal.files or self.moves > goal.moves

    def lines(self) -> Iterator[str]:
        """Each file and the functions called there, in order; `*`: the event loop made the call."""
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
        """Stop, and leave the functions that the loop called meanwhile, its timers, out of all later traces."""
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
    """The outermost function of ours on the stack, down to the event loop's call of its callback."""
    origin, caller = frame, frame.f_back
    while caller is not None and caller.f_code is not Handle._run.__code__:
        if _is_ours(caller):
            origin = caller
        caller = caller.f_back
    return origin.f_code.co_qualname
