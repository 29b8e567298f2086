"""LogWriter: lines that are written, dropped and flushed, whatever the descriptor does."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from chatio.telemetry.log_writer import LogWriter

NEVER_SECONDS = 3600.0
PATIENCE_SECONDS = 10.0


class Pipe(NamedTuple):
    reading: int
    writing: int

    def fill(self) -> None:
        os.set_blocking(self.writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writing, b"x" * 512)
        os.set_blocking(self.writing, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(*os.pipe())
    yield made
    os.close(made.reading)
    os.close(made.writing)


def nothing() -> None:
    pass


def test_lines_are_written_in_their_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        writer = LogWriter(file.fileno(), tend=nothing)
        for number in range(500):
            writer.write(f"line {number} \ud800")
        writer.flush(PATIENCE_SECONDS)
        lines = (tmp_path / "log").read_text().splitlines()
        assert lines == [f"line {number} \\ud800" for number in range(500)]
        assert writer.dropped == 0
        writer.close(PATIENCE_SECONDS)


def test_a_reader_that_reads_nothing_blocks_no_caller_and_lines_past_the_bound_are_counted(pipe: Pipe) -> None:
    pipe.fill()
    writer = LogWriter(pipe.writing, tend=nothing, max_lines=10)
    for number in range(100):
        writer.write(f"line {number}")
    writer.flush(0)
    writer.close(0)
    assert writer.dropped in (89, 90)  # the thread may have taken one of them out of the queue
    with os.fdopen(os.dup(pipe.reading)) as lines:
        assert lines.readline().strip("x") == "line 0\n"
        last = 99 - writer.dropped
        while lines.readline() != f"line {last}\n":
            pass


def test_the_end_is_not_waited_for_twice(pipe: Pipe) -> None:
    pipe.fill()
    writer = LogWriter(pipe.writing, tend=nothing)
    writer.write("line")
    writer.flush(0.01)
    writer.close(NEVER_SECONDS)


def test_a_line_waits_for_a_reader_where_the_descriptor_does_not_block(pipe: Pipe) -> None:
    pipe.fill()
    os.set_blocking(pipe.writing, False)
    writer = LogWriter(pipe.writing, tend=nothing)
    long = "y" * 200_000  # more than a pipe has room for
    writer.write(long)
    with os.fdopen(os.dup(pipe.reading)) as lines:
        assert lines.readline().strip("x") == f"{long}\n"
    writer.close(PATIENCE_SECONDS)
    assert writer.dropped == 0


def test_a_descriptor_that_fails_drops_each_line_and_the_next_one_is_tried(pipe: Pipe) -> None:
    descriptor = os.dup(pipe.reading)
    writer = LogWriter(descriptor, tend=nothing)  # EBADF: it is open for reading only
    for _ in range(5):
        writer.write("lost")
    writer.flush(PATIENCE_SECONDS)
    assert (writer.dropped, writer.is_failing) == (5, True)
    os.dup2(pipe.writing, descriptor)
    writer.write("written")
    writer.flush(PATIENCE_SECONDS)
    assert (writer.dropped, writer.is_failing) == (5, False)
    writer.close(PATIENCE_SECONDS)
    os.close(descriptor)


def test_a_line_after_one_that_was_cut_begins_on_a_line_of_its_own(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write

    def write_a_part(descriptor: int, data: bytes) -> int:
        if len(data) <= 3:
            raise OSError(28, "No space left on device")
        return whole(descriptor, data[:4])

    writer = LogWriter(pipe.writing, tend=nothing)
    monkeypatch.setattr(os, "write", write_a_part)
    writer.write("broken")
    writer.flush(PATIENCE_SECONDS)
    monkeypatch.setattr(os, "write", whole)
    writer.write("whole")
    writer.close(PATIENCE_SECONDS)
    assert os.read(pipe.reading, 100) == b"brok\nwhole\n"
    assert writer.dropped == 1


def test_the_thread_survives_what_it_calls(tmp_path: Path) -> None:
    called = threading.Semaphore(0)

    def fail() -> None:
        called.release()
        raise MemoryError

    with (tmp_path / "log").open("wb") as file:
        writer = LogWriter(file.fileno(), tend=fail)
        for _ in range(2):
            assert called.acquire(timeout=PATIENCE_SECONDS)
        writer.write("line")
        writer.close(PATIENCE_SECONDS)
    assert (tmp_path / "log").read_text() == "line\n"


def test_nothing_is_waited_for_after_the_end(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writing, tend=nothing)
    writer.close(PATIENCE_SECONDS)
    writer.write("lost")
    writer.flush(NEVER_SECONDS)
    writer.close(NEVER_SECONDS)
