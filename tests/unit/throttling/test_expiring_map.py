"""ExpiringMap: values by key, forgotten when they have expired or when the map is full."""

from chatio.throttling.expiring_map import ExpiringMap


def filled(*keys: str, max_keys: int = 100) -> ExpiringMap[float]:
    """A map whose values are the times at which they expire: 10.0."""
    values = ExpiringMap[float](max_keys, expires_at=float)
    for key in keys:
        values.put(key, 10.0, 0.0)
    return values


def test_a_put_removes_two_expired_keys_so_that_the_map_shrinks() -> None:
    values = filled(*"abcdefghij")
    values.put("k", 20.0, 9.999)
    assert len(values) == 11
    for key in "lmno":
        values.put(key, 20.0, 10.0)
    assert list(values) == list("ijklmno")
    for key in "pqr":
        values.put(key, 20.0, 10.0)
    assert list(values) == list("klmnopqr")


def test_a_put_past_the_bound_removes_the_key_that_was_put_longest_ago() -> None:
    assert list(filled(*"abcad", max_keys=3)) == list("cad")


def test_a_put_of_a_key_of_a_full_map_removes_no_other_key() -> None:
    assert list(filled(*"abcca", max_keys=3)) == list("bca")
    assert list(filled(*"abcc", max_keys=3)) == list("abc")


def test_a_value_that_is_set_without_a_put_keeps_its_place() -> None:
    values = filled(*"ab", max_keys=2)
    values["a"] = 20.0
    values.put("c", 10.0, 0.0)
    assert list(values) == list("bc")
