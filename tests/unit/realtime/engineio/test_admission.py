"""Admission checks: the connection limit, the handshake rate, and several checks in order."""

import pytest

from chatio.realtime.close_reasons import ADDRESS_FULL, HANDSHAKE_RATE, SERVER_FULL, CloseReason
from chatio.realtime.engineio import http_errors
from chatio.realtime.engineio.admission import (
    FULL_RETRY_SECONDS,
    ConnectionLimit,
    find_session,
    handshake_rate,
)
from chatio.realtime.engineio.http_errors import HandshakeError
from chatio.realtime.options import Refusal
from chatio.server.http.http1 import MAX_ARGUMENTS
from chatio.server.lifecycle import Lifecycle
from chatio.throttling.rate_limiter import RateLimiter
from tests.unit.clock import Clock

ANN, BOB = "192.0.2.1", "192.0.2.2"
SAME_64 = ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:0:8::1"]  # of one /64
OTHER_64 = "2001:db8:0:1::1"
SHUT = CloseReason("full", "shut")


class Shut:
    """Refuses each client, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def admit(self, address: str) -> Refusal | None:
        self.asked += 1
        return Refusal(SHUT, 3)


def test_connections_are_limited_in_all() -> None:
    limit = ConnectionLimit(most=2)
    assert limit.admit(ANN) is None
    assert limit.admit(BOB) is None
    assert limit.is_full
    assert limit.admit(OTHER_64) == Refusal(SERVER_FULL, FULL_RETRY_SECONDS)
    limit.release(ANN)
    assert limit.admit(OTHER_64) is None


def test_connections_are_limited_per_address() -> None:
    limit = ConnectionLimit(most_per_address=1)
    assert limit.admit(ANN) is None
    assert limit.admit(ANN) == Refusal(ADDRESS_FULL, FULL_RETRY_SECONDS)
    assert limit.admit(BOB) is None


def test_ipv6_addresses_are_limited_per_64() -> None:
    limit = ConnectionLimit(most_per_address=2)
    rate = handshake_rate(RateLimiter(2, 60))
    for address in SAME_64[:2]:
        assert limit.admit(address, [rate]) is None
    assert limit.admit(SAME_64[2]) is not None
    assert rate.admit(SAME_64[2]) is not None
    assert limit.admit(OTHER_64, [rate]) is None
    limit.release(SAME_64[1])
    assert limit.admit(SAME_64[2]) is None
    for address in (SAME_64[0], SAME_64[2], OTHER_64):
        limit.release(address)
    assert len(limit) == 0


def test_handshake_rate_names_whole_seconds_to_wait() -> None:
    clock = Clock()
    rate = handshake_rate(RateLimiter(40, 60, burst=2, clock=clock))
    assert rate.admit(ANN) is None
    assert rate.admit(ANN) is None
    assert rate.admit(ANN) == Refusal(HANDSHAKE_RATE, 2)
    assert rate.admit(BOB) is None
    clock.now += 1.5
    assert rate.admit(ANN) is None


def test_first_check_that_refuses_answers_and_the_others_count_nothing() -> None:
    limit, first, second, rate = ConnectionLimit(most=1), Shut(), Shut(), handshake_rate(RateLimiter(1, 60))
    for _ in range(3):
        assert limit.admit(ANN, [first, second, rate]) == Refusal(SHUT, 3)
    assert (first.asked, second.asked, len(limit)) == (3, 0, 0)
    assert limit.admit(ANN, [rate]) is None
    assert limit.admit(BOB, [first]) == Refusal(SERVER_FULL, FULL_RETRY_SECONDS)
    assert first.asked == 3


@pytest.mark.parametrize("more", ["&a", "&%61", "&a=+"])
def test_a_query_has_at_most_100_arguments(more: str) -> None:
    query = "EIO=4&transport=polling"
    assert find_session("GET", query + more * (MAX_ARGUMENTS - 2), "", {}, Lifecycle()) == (None, False)
    with pytest.raises(HandshakeError) as caught:
        find_session("GET", query + more * (MAX_ARGUMENTS - 1), "", {}, Lifecycle())
    assert caught.value.error is http_errors.BAD_REQUEST
