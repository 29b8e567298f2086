"""Error reports: the fields of the line, and which failures share a reference."""

import logging

import pytest

from chatio.telemetry.error_report import SHARED_SECONDS, place_of, report
from tests.conftest import ExpectedLogs

logger = logging.getLogger("chatio.test")


def fail_here() -> Exception:
    try:
        int("hunter2")
    except ValueError as error:
        return error
    raise AssertionError


def fail_there() -> Exception:
    try:
        int("hunter2")
    except ValueError as error:
        return error
    raise AssertionError


def test_a_failure_is_one_line_of_type_place_and_reference(logs: ExpectedLogs) -> None:
    place = r"tests\.unit\.telemetry\.test_error_report:15 fail_here"
    logs.expect(rf"^saying something failed: ValueError at {place} \(reference ")
    reference = report(logger, "saying something", fail_here())
    (record,) = logs.records
    assert record.getMessage().endswith(f"(reference {reference})")
    assert (
        vars(record).items()
        >= {
            "event": "failure",
            "what": "saying something",
            "error": "ValueError",
            "place": "tests.unit.telemetry.test_error_report:15 fail_here",
            "reference": reference,
        }.items()
    )


def test_the_place_of_an_exception_that_was_never_raised_is_unknown() -> None:
    assert place_of(KeyError()) == "unknown"


@pytest.mark.parametrize(
    ("what", "error", "seconds", "is_shared"),
    [
        ("answering", fail_here(), SHARED_SECONDS / 2, True),
        ("answering", fail_here(), SHARED_SECONDS, False),
        ("answering", fail_there(), 0, False),
        ("leaving", fail_here(), 0, False),
    ],
)
def test_a_reference_is_shared_by_the_same_place_for_a_while(
    logs: ExpectedLogs, what: str, error: Exception, seconds: float, is_shared: bool
) -> None:
    logs.expect("failed: ValueError")
    begin = 1000 * SHARED_SECONDS
    first = report(logger, "answering", fail_here(), clock=lambda: begin)
    assert (report(logger, what, error, clock=lambda: begin + seconds) == first) is is_shared


def test_report_that_cannot_be_made_ends_the_work_of_no_caller(error: type[Exception]) -> None:
    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error

    quiet = logging.Logger("a logger of its own")  # noqa: LOG001 - in no hierarchy
    quiet.addHandler(Full())
    assert report(quiet, "a handler", ValueError()) == "none"
