"""LogHandler: the first lines of each kind, then a count; and the loggers and hooks that `configure` sets."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatio.telemetry.excepthooks import install, loop_failed
from chatio.telemetry.log_format import JsonFormatter
from chatio.telemetry.log_handler import LINES_PER_WINDOW, MAX_REASONS, WINDOW_SECONDS, LogHandler, configure
from tests.conftest import ExpectedLogs

MORE = 5
TOO_MANY = LINES_PER_WINDOW + MORE


class Written:
    """What a handler has written."""

    handler: LogHandler

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")

    def configure(self, **options: Any) -> None:
        self.handler = configure(descriptor=self._file.fileno(), **options)

    @property
    def text(self) -> str:
        self.handler.flush()
        return os.pread(self._file.fileno(), 10**6, 0).decode()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def close(self) -> None:
        self.handler.close()
        self._file.close()


class Log(Written):
    """With a clock that the test moves."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.now = 100.0
        self.handler = LogHandler(self._file.fileno(), flush_seconds=10, clock=lambda: self.now)

    def say(self, sentence: str, *args: object, name: str = "chatio", line: int = 1, **fields: Any) -> None:
        record = logging.LogRecord(name, logging.INFO, "x.py", line, sentence, args, None)
        vars(record).update(fields)
        self.handler.handle(record)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "log")
    yield made
    made.close()


def test_an_event_past_ten_lines_is_counted_by_reason(log: Log) -> None:
    for number in range(TOO_MANY):
        log.say("refused %d", number, event="refused", reason="late" if number % 5 else "early")
    log.say("dropped", event="dropped")
    assert log.lines == [*(f"refused {number}" for number in range(LINES_PER_WINDOW)), "dropped"]
    log.now += WINDOW_SECONDS
    log.handler.write_counts()
    assert log.lines[-1] == f"{MORE} more lines of refused in 10 s (late 4, early 1)"


def test_a_line_after_the_window_follows_its_count(log: Log) -> None:
    for _ in range(TOO_MANY):
        log.say("refused", event="refused")
    log.now += WINDOW_SECONDS
    for _ in range(TOO_MANY):
        log.say("again", event="refused")
    assert log.lines[LINES_PER_WINDOW:] == [f"{MORE} more lines of refused in 10 s", *["again"] * LINES_PER_WINDOW]


def test_an_event_below_the_limit_is_never_counted(log: Log) -> None:
    for _ in range(5):
        for _ in range(LINES_PER_WINDOW):
            log.say("refused", event="refused")
        log.now += WINDOW_SECONDS
    assert log.lines == ["refused"] * 5 * LINES_PER_WINDOW


def test_each_reference_is_written(log: Log) -> None:
    for number in range(TOO_MANY):
        log.say("failed", event="failure", reference="a")
        log.say("failed", event="failure", reference=f"b{number}")
    log.handler.close()
    assert log.lines.count("failed") == LINES_PER_WINDOW + TOO_MANY
    assert log.lines[-1] == f"{MORE} more lines of failure in 10 s (reference a)"


def test_records_without_an_event_are_counted_by_their_line_of_source(log: Log) -> None:
    for number in range(TOO_MANY):
        log.say("Exception in %r", f"hunter{number}", name="tornado.application", line=5)
        log.say("another", name="tornado.application", line=6)
    log.handler.close()
    assert log.lines[-2:] == [
        f"{MORE} more lines of Exception in … in 10 s",
        f"{MORE} more lines of another in 10 s",
    ]


def test_a_count_names_a_bounded_number_of_reasons(log: Log) -> None:
    for number in range(LINES_PER_WINDOW + MAX_REASONS + 30):
        log.say("refused", event="refused", reason=f"reason {number}")
    log.handler.close()
    assert log.lines[-1].count("reason ") == MAX_REASONS
    assert "others 30" in log.lines[-1]


def test_a_count_is_an_event_of_its_own(log: Log) -> None:
    log.handler.setFormatter(JsonFormatter())
    for _ in range(TOO_MANY):
        log.say("refused", event="refused", reason="late")
    log.handler.close()
    line = json.loads(log.lines[-1])
    assert (
        line.items()
        >= {"level": "INFO", "logger": "chatio.logs", "event": "held_back", "of": "refused", "count": MORE}.items()
    )
    assert line["reasons"] == {"late": MORE}


def test_errors_are_counted_by_event_when_suppressed_too(log: Log) -> None:
    for _ in range(TOO_MANY):
        log.say("failed", event="failure", levelno=logging.ERROR)
    log.say("no port", event="cannot_listen", levelno=logging.CRITICAL)
    log.say("a library's", levelno=logging.ERROR)
    log.say("only a warning", event="failure", levelno=logging.WARNING)
    assert {event: count for event, count in log.handler.errors.items() if count} == {
        "failure": TOO_MANY,
        "cannot_listen": 1,
        "other": 1,
    }


def test_windows_that_are_over_are_forgotten(log: Log) -> None:
    for number in range(1000):
        log.say("failed", event="failure", reference=str(number))
        log.now += WINDOW_SECONDS
    assert log.handler.window_count == 1


class FailingFormatter(logging.Formatter):
    """Fails with each of the errors that no formatter announces, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = [RuntimeError("hunter2"), MemoryError(), RecursionError()]

    def format(self, record: logging.LogRecord) -> str:
        raise self.errors[0]


def test_a_formatter_that_fails_ends_neither_its_caller_nor_the_log(
    log: Log, capfd: pytest.CaptureFixture[str], logs: ExpectedLogs
) -> None:
    formatter = FailingFormatter()
    log.handler.setFormatter(formatter)
    while formatter.errors:
        for _ in range(TOO_MANY):
            log.say("refused", event="refused")
        log.now += WINDOW_SECONDS
        formatter.errors.pop(0)
    assert log.lines == []
    dropped = log.handler.dropped
    log.handler.setFormatter(JsonFormatter())
    logs.expect(f"^{dropped} log lines were dropped")
    log.say("back again", event="refused")
    log.handler.write_counts()
    assert json.loads(log.lines[-1])["message"] == "back again"


def test_a_record_whose_fields_fail_ends_nothing(log: Log) -> None:
    class Fails:
        def __str__(self) -> str:
            raise ValueError("hunter2")

    for _ in range(TOO_MANY):
        log.say("refused %s", Fails(), event="refused", reason=Fails())
    log.say("last", event="next")
    assert log.lines[-1] == "last"
    assert log.handler.dropped == TOO_MANY


def test_dropped_lines_are_one_warning_when_lines_are_taken_again(
    tmp_path: Path, logging_as_before: None, logs: ExpectedLogs
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b" " * 512)
    handler = configure(level="INFO", form="json", descriptor=writing, max_lines=2)
    for number in range(20):
        logging.getLogger("chatio.test").info("line", extra={"event": f"event{number}"})
    dropped = handler.dropped
    assert dropped in (17, 18)  # the thread may have taken one of them out of the queue
    logs.expect(f"^{dropped} log lines were dropped: stderr did not take them$")
    with os.fdopen(reading) as lines:
        events = [json.loads(lines.readline()) for _ in range(20 - dropped + 1)]
    assert events[-1].items() >= {"event": "lines_dropped", "count": dropped}.items()
    handler.close()
    os.close(writing)


def test_a_count_is_written_when_its_window_is_over_and_no_line_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatio.telemetry.log_handler.WINDOW_SECONDS", 0.05)
    reading, writing = os.pipe()
    handler = LogHandler(writing)
    for _ in range(LINES_PER_WINDOW + 1):
        handler.handle(
            logging.makeLogRecord({"name": "chatio", "levelno": logging.INFO, "msg": "x", "event": "x"})
        )
    with os.fdopen(reading) as lines:
        for line in lines:
            if "more lines" in line:
                break
    handler.close()
    os.close(writing)


@pytest.fixture
def written(tmp_path: Path, logging_as_before: None) -> Iterator[Written]:
    made = Written(tmp_path / "log")
    made.configure(level="INFO", form="json")
    yield made
    made.close()


def test_a_librarys_record_is_written_to_the_same_place(written: Written, logs: ExpectedLogs) -> None:
    logs.expect("^Uncaught exception GET")
    logging.getLogger("tornado.application").error("Uncaught exception %s", "GET /?sid=secret")
    logging.getLogger("tornado.general").info("Malformed HTTP message from %s: %s", "1.2.3.4", "secret")
    (line,) = written.objects
    assert (line["logger"], line["message"]) == ("tornado.application", "Uncaught exception …")


def test_records_below_the_level_are_not_written(
    tmp_path: Path, logging_as_before: None, logs: ExpectedLogs
) -> None:
    logs.expect("loud")
    written = Written(tmp_path / "log")
    written.configure(level="WARNING", form="text")
    logging.getLogger("chatio").info("quiet")
    logging.getLogger("chatio").warning("loud")
    (line,) = written.text.splitlines()
    assert line.endswith("WARNING chatio: loud")
    written.close()


def test_a_warning_is_a_line_without_its_text_and_path(written: Written, logs: ExpectedLogs) -> None:
    logs.expect("^UserWarning at test_log_handler:")
    with warnings.catch_warnings():
        install()
        warnings.simplefilter("always")
        warnings.warn("hunter2", UserWarning, stacklevel=1)
    (line,) = written.objects
    assert (line["event"], line["category"]) == ("python_warning", "UserWarning")
    assert "hunter2" not in written.text
    assert "/" not in written.text


class HelpersError(Exception):
    pass


def fail() -> None:
    raise HelpersError("hunter2")


class Fails:
    def __del__(self) -> None:
        fail()


def fail_program() -> None:
    try:
        fail()
    except HelpersError as error:
        sys.excepthook(type(error), error, error.__traceback__)


def fail_thread() -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def fail_finalizer() -> None:
    Fails()
    gc.collect()


def fail_loop(*coroutines: Any) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(loop_failed)

        async def fail_later(_secret: str) -> None:
            fail()

        task = loop.create_task(fail_later("hunter2"))
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("provoke", "what"),
    [
        (fail_program, "the program"),
        (fail_thread, "a thread"),
        (fail_finalizer, "a finalizer"),
        (fail_loop, "the event loop"),
    ],
)
def test_an_uncaught_exception_is_one_line(
    provoke: Any, what: str, written: Written, logs: ExpectedLogs, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.expect(f"^{what} failed: HelpersError at tests.unit.telemetry.test_log_handler:")
    provoke()
    (line,) = written.objects
    assert (line["event"], line["what"], line["error"]) == ("failure", what, "HelpersError")
    assert "hunter2" not in written.text
    assert capfd.readouterr() == ("", "")


def test_a_problem_of_the_loop_without_an_exception_is_one_line(written: Written, logs: ExpectedLogs) -> None:
    logs.expect("^the event loop has a problem: Task was destroyed but it is pending!$")
    loop = asyncio.new_event_loop()
    loop_failed(loop, {"message": "Task was destroyed but it is pending!", "task": "hunter2"})
    loop_failed(loop, {"message": "closing <coroutine hunter2>"})
    loop.close()
    logs.expect("^the event loop has a problem: closing$")
    assert [line["problem"] for line in written.objects] == ["Task was destroyed but it is pending!", "closing"]
    assert "hunter2" not in written.text
