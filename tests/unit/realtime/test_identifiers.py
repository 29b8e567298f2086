"""Ids that nobody can guess, and none of them twice."""

import re

from chatio.realtime.identifiers import Identifiers


def test_ids_are_120_random_bits_that_fit_into_a_query() -> None:
    identifiers = Identifiers()
    ids = [identifiers.next() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", one) for one in ids)


def test_two_servers_share_no_ids() -> None:
    first, second = Identifiers(), Identifiers()
    assert {first.next() for _ in range(300)}.isdisjoint({second.next() for _ in range(300)})
