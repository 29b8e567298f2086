"""How long a connection that sends too fast is not read."""

import pytest

from chatio.realtime.engineio.input_rate import BEHIND_SECONDS, Pace


def test_a_burst_is_read_at_once_and_what_follows_at_the_rate() -> None:
    pace = Pace(bytes_per_second=1000, burst_bytes=10_000)
    assert pace.burst_seconds == 10
    paid_at = pace.after(0.0, 10_000, now=50.0)
    assert paid_at == 60
    paid_at = pace.after(paid_at, 500, now=50.0)
    assert paid_at == pytest.approx(60.5)
    assert pace.after(paid_at, 10_000, now=100.0) == 110


def test_who_was_slowed_down_is_behind_for_a_while_and_who_never_was_is_not() -> None:
    pace = Pace(bytes_per_second=1000, burst_bytes=10_000)
    assert not pace.is_behind(0.0, now=50.0)
    assert not pace.is_behind(pace.after(0.0, 1000, now=50.0), now=50.0)
    paid_at = pace.after(0.0, 11_000, now=50.0)
    assert pace.is_behind(paid_at, now=51.0)
    assert pace.is_behind(paid_at, now=51.0 + BEHIND_SECONDS - 0.1)
    assert not pace.is_behind(paid_at, now=51.0 + BEHIND_SECONDS + 0.1)


def test_with_a_small_burst_nobody_is_behind_who_sends_nothing() -> None:
    pace = Pace(bytes_per_second=1000, burst_bytes=10)
    paid_at = pace.after(0.0, 500, now=50.0)
    assert pace.is_behind(paid_at, now=50.4)
    assert not pace.is_behind(paid_at, now=50.6)


def test_without_figures_nobody_waits() -> None:
    pace = Pace()
    paid_at = pace.after(0.0, 10**12, now=50.0)
    assert paid_at - 50.0 <= pace.burst_seconds
    assert not pace.is_behind(paid_at, now=50.0)
