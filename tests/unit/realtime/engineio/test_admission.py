"""Who is let in: the bounds, the rate, and several reasons one behind the other."""

from chatio.realtime.engineio.admission import (
    FULL_RETRY_SECONDS,
    ConnectionLimit,
    HandshakeRate,
    Refusal,
    first_refusal,
)
from chatio.throttling.rate_limiter import RateLimiter
from tests.unit.clock import Clock

ANN, BOB = "192.0.2.1", "192.0.2.2"
LINE = ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:0:8::1"]  # of one /64
OTHER_LINE = "2001:db8:0:1::1"


class Shut:
    """Refuses everybody, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def admit(self, address: str) -> Refusal | None:
        self.asked += 1
        return Refusal("shut", 3)


def test_crowd_is_bounded_in_all() -> None:
    crowd = ConnectionLimit(most=2)
    crowd.acquire(ANN)
    assert crowd.admit(BOB) is None
    crowd.acquire(BOB)
    assert crowd.admit(OTHER_LINE) == Refusal("too many connections", FULL_RETRY_SECONDS)
    crowd.release(ANN)
    assert crowd.admit(OTHER_LINE) is None


def test_crowd_is_bounded_at_each_address() -> None:
    crowd = ConnectionLimit(most_per_address=1)
    crowd.acquire(ANN)
    assert crowd.admit(ANN) == Refusal("too many connections from one address", FULL_RETRY_SECONDS)
    assert crowd.admit(BOB) is None


def test_ipv6_is_counted_by_the_line() -> None:
    crowd = ConnectionLimit(most_per_address=2)
    rate = HandshakeRate(RateLimiter(2, 60))
    for address in LINE[:2]:
        crowd.acquire(address)
        assert rate.admit(address) is None
    assert crowd.admit(LINE[2]) is not None
    assert rate.admit(LINE[2]) is not None
    assert crowd.admit(OTHER_LINE) is None
    assert rate.admit(OTHER_LINE) is None
    crowd.release(LINE[1])
    assert crowd.admit(LINE[2]) is None
    crowd.release(LINE[0])
    assert len(crowd) == 0


def test_rate_says_when_to_come_back_in_whole_seconds() -> None:
    clock = Clock()
    rate = HandshakeRate(RateLimiter(40, 60, burst=2, clock=clock))
    assert rate.admit(ANN) is None
    assert rate.admit(ANN) is None
    assert rate.admit(ANN) == Refusal("too many handshakes from one address", 2)
    assert rate.admit(BOB) is None
    clock.now += 1.5
    assert rate.admit(ANN) is None


def test_first_gate_that_refuses_answers_and_those_behind_it_count_nothing() -> None:
    first, second, rate = Shut(), Shut(), HandshakeRate(RateLimiter(1, 60))
    for _ in range(3):
        assert first_refusal([first, second, rate], ANN) == Refusal("shut", 3)
    assert (first.asked, second.asked) == (3, 0)
    assert first_refusal([rate], ANN) is None
    assert first_refusal([], ANN) is None
