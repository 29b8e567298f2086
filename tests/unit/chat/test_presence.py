"""Presence: which users are online, and what has changed."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chatio.chat.messages import Author
from chatio.chat.presence import MOST_NAMED, Change, Presence

ANN, BOB = Author("1", "Ann"), Author("2", "Bob")


def online(presence: Presence) -> list[Author]:
    users, after = presence.online(max_bytes=1_000_000)
    assert after is None
    return msgspec.json.decode(users, type=list[Author])


def test_a_user_with_several_connections_counts_once() -> None:
    presence = Presence()
    for _ in range(3):
        presence.connected(ANN)
    presence.connected(BOB)
    assert len(presence) == 2
    presence.take_change()
    presence.connected(BOB)
    presence.disconnected(BOB)
    assert not presence.has_changed
    assert online(presence) == [ANN, BOB]
    presence.disconnected(ANN)
    presence.disconnected(ANN)
    assert online(presence) == [ANN, BOB]
    presence.disconnected(ANN)
    assert online(presence) == [BOB]


def test_a_change_is_taken_once() -> None:
    presence = Presence()
    presence.connected(ANN)
    assert presence.take_change() == Change(1, [ANN], [], 0)
    assert not presence.has_changed
    presence.disconnected(ANN)
    assert presence.take_change() == Change(0, [], [ANN], 0)


def test_user_that_is_back_before_the_change_is_taken_is_no_change() -> None:
    presence = Presence()
    presence.connected(ANN)
    presence.take_change()
    presence.disconnected(ANN)
    presence.connected(ANN)
    assert not presence.has_changed
    presence.connected(BOB)
    presence.disconnected(BOB)
    assert not presence.has_changed


def test_a_change_of_many_users_names_some_and_counts_the_others() -> None:
    presence = Presence()
    for number in range(1000):
        presence.connected(Author(str(number), f"P{number}"))
    change = presence.take_change()
    assert change.online == 1000
    assert len(change.came) == MOST_NAMED
    assert change.more == 1000 - MOST_NAMED


@given(st.lists(st.text("abc", min_size=1, max_size=3), unique=True), st.integers(1, 300), st.data())
def test_pages_are_bounded_and_have_every_user_who_stays_once(
    ids: list[str], max_bytes: int, data: st.DataObject
) -> None:
    presence = Presence()
    for id_ in ids:
        presence.connected(Author(id_, f"P{id_}"))
    leaving = data.draw(st.sets(st.sampled_from(ids)) if ids else st.just(set()))
    longest = max((len(msgspec.json.encode(Author(id_, f"P{id_}"))) for id_ in ids), default=0)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        users, after = presence.online(after=after, max_bytes=max_bytes)
        page = msgspec.json.decode(users, type=list[Author])
        assert len(bytes(users)) <= max_bytes + longest + len(page) + 2
        found += [user.id for user in page]
        while leaving:  # after the first page
            presence.disconnected(Author(id_ := leaving.pop(), f"P{id_}"))
        leaving = set()
    assert len(set(found)) == len(found)
    assert {user.id for user in online(presence)} <= set(found) <= set(ids)
