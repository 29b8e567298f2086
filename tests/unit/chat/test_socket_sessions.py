"""Which socket is open on which token."""

from chatio.chat.socket_sessions import Session, Sessions


def session(subject: str = "ada", *, expires_at: int = 100) -> Session:
    return Session(subject, "t", 1.5, expires_at)


def test_a_socket_is_on_the_token_it_came_with_until_it_leaves() -> None:
    sessions = Sessions()
    assert sessions.get("a") is None
    sessions.put("a", session())
    assert sessions.get("a") == session()
    assert len(sessions) == 1
    sessions.discard("a")
    sessions.discard("a")
    assert sessions.get("a") is None
    assert len(sessions) == 0


def test_those_are_found_that_are_asked_for() -> None:
    sessions = Sessions()
    for sid, subject in [("a", "ada"), ("b", "eve"), ("c", "ada")]:
        sessions.put(sid, session(subject))
    assert sessions.where(lambda session: session.subject == "ada") == ["a", "c"]
    assert sessions.where(lambda session: session.subject == "zoe") == []


def test_who_is_due_is_told_from_the_very_second_on_and_again_until_gone() -> None:
    sessions = Sessions()
    sessions.put("late", session(expires_at=102))
    sessions.put("early", session(expires_at=100))
    assert sessions.due(99.999) == []
    assert sessions.due(100.0) == ["early"]
    assert sessions.due(100.0) == ["early"]
    sessions.discard("early")
    assert sessions.due(101.0) == []
    assert sessions.due(102.5) == ["late"]


def test_who_comes_after_a_look_is_due_in_time() -> None:
    sessions = Sessions()
    sessions.put("late", session(expires_at=200))
    assert sessions.due(50.0) == []
    sessions.put("early", session(expires_at=100))
    assert sessions.due(100.0) == ["early"]


def test_who_has_renewed_is_due_by_the_new_token() -> None:
    sessions = Sessions()
    sessions.put("a", session(expires_at=100))
    sessions.put("a", session(expires_at=200))
    assert sessions.due(100.0) == []
    assert sessions.due(200.0) == ["a"]


def test_nobody_is_due_where_nobody_is() -> None:
    sessions = Sessions()
    assert sessions.due(1e12) == []
    sessions.put("a", session())
    sessions.discard("a")
    assert sessions.due(1e12) == []
    sessions.put("b", session())
    assert sessions.due(1e12) == ["b"]
