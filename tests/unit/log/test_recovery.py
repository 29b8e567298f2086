"""Recovery: where a cursor starts, for any `pid` and `offset` that a client may send."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chatio.log.message_log import MessageLog
from chatio.log.recovery import resume_point
from chatio.stores.records import Message


def filled(count: int, *, max_messages: int = 10_000) -> MessageLog:
    log = MessageLog(max_messages=max_messages)
    for number in range(count):
        log.append(Message(f"id {number}", "text", "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
    return log


@pytest.mark.parametrize(("history", "after"), [(0, 10), (3, 7), (50, 0)])
def test_a_client_without_a_pid_starts_so_many_messages_before_the_head(history: int, after: int) -> None:
    start = resume_point(filled(10), None, None, history=history)
    assert (start.after, start.recovered) == (after, False)


def test_a_pid_contains_the_offset_at_which_its_connection_began() -> None:
    log = filled(10)
    pid = resume_point(log, None, None, history=4).pid
    filled_later = log.append(Message("x", "text", "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
    assert resume_point(log, pid, None, history=4) == (6, pid, True)
    assert resume_point(log, pid, filled_later.offset, history=4) == (11, pid, True)


def test_two_connections_that_begin_at_the_same_offset_have_different_pids() -> None:
    log = filled(10)
    assert resume_point(log, None, None, history=0).pid != resume_point(log, None, None, history=0).pid


def test_a_client_that_missed_dropped_messages_is_not_recovered() -> None:
    log = filled(1, max_messages=5)
    pid, offset = resume_point(log, None, None, history=0).pid, log.offset_of(1)
    for number in range(20):
        log.append(Message(f"late {number}", "text", "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
    start = resume_point(log, pid, offset, history=50)
    assert (start.after, start.recovered) == (16, False)
    assert start.pid != pid


def test_an_offset_of_another_log_starts_where_the_pid_began() -> None:
    old, log = filled(3), filled(10)
    pid = resume_point(log, None, None, history=0).pid
    log.append(Message("x", "text", "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
    start = resume_point(log, pid, old.offset_of(2), history=50)
    assert (start.after, start.recovered) == (10, False)


def test_a_pid_of_another_log_starts_at_the_tail() -> None:
    """After a restart a client gets all messages since, which may be more than `history`."""
    old, log = filled(3), filled(10, max_messages=7)
    pid = resume_point(old, None, None, history=0).pid
    start = resume_point(log, pid, old.offset_of(2), history=2)
    assert (start.after, start.recovered) == (log.tail, False) == (3, False)


@pytest.mark.parametrize("pid", ["odd", "." * 3, "x" * 1_000_000, 7, "0" * 25])
def test_an_invalid_pid_is_no_pid(pid: object) -> None:
    assert resume_point(filled(10), pid, None, history=2).after == 8


@pytest.mark.parametrize(
    "offset", [7, True, [], {}, "", "x" * 1_000_000, "0" * 25, "later", "before the connection"]
)
def test_an_invalid_offset_starts_at_the_head(offset: object) -> None:
    log = filled(10)
    pid = resume_point(log, None, None, history=2).pid
    if offset == "later":
        offset = log.offset_of(11)
    elif offset == "before the connection":
        offset = log.offset_of(3)
    start = resume_point(log, pid, offset, history=50)
    assert (start.after, start.recovered) == (10, False)
    assert start.pid != pid


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@hypothesis_settings(deadline=None, database=None)
@given(JSON, JSON, st.integers(0, 20), st.integers(1, 8))
def test_any_pid_and_offset_start_within_the_log(pid: object, offset: object, count: int, kept: int) -> None:
    log = filled(count, max_messages=kept)
    start = resume_point(log, pid, offset, history=3)
    assert log.tail <= start.after <= log.head
    assert not start.recovered


def test_a_pid_with_a_megabyte_behind_it_is_not_given_back() -> None:
    log = filled(10)
    pid = resume_point(log, None, None, history=0).pid
    assert len(resume_point(log, pid + "x" * 1_000_000, None, history=0).pid) < 64
