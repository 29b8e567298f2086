"""SocketSessions: the token of each socket, and when it expires."""

from chatio.chat.socket_sessions import SocketSession, SocketSessions


def session(subject: str = "ada", *, expires_at: int = 100) -> SocketSession:
    return SocketSession(subject, "t", 1.5, expires_at)


def test_a_session_is_there_until_it_is_discarded() -> None:
    sessions = SocketSessions()
    assert sessions.get("a") is None
    sessions.put("a", session())
    assert sessions.get("a") == session()
    assert len(sessions) == 1
    sessions.discard("a")
    sessions.discard("a")
    assert sessions.get("a") is None
    assert len(sessions) == 0


def test_where_gives_the_sids_of_the_sessions_that_match() -> None:
    sessions = SocketSessions()
    for sid, subject in [("a", "ada"), ("b", "eve"), ("c", "ada")]:
        sessions.put(sid, session(subject))
    assert sessions.where(lambda session: session.subject == "ada") == ["a", "c"]
    assert sessions.where(lambda session: session.subject == "zoe") == []


def test_a_session_is_due_from_its_second_on_until_it_is_discarded() -> None:
    sessions = SocketSessions()
    sessions.put("late", session(expires_at=102))
    sessions.put("early", session(expires_at=100))
    assert sessions.due(99.999) == []
    assert sessions.due(100.0) == ["early"]
    assert sessions.due(100.0) == ["early"]
    sessions.discard("early")
    assert sessions.due(101.0) == []
    assert sessions.due(102.5) == ["late"]


def test_a_session_that_is_put_after_a_look_is_due_in_time() -> None:
    sessions = SocketSessions()
    sessions.put("late", session(expires_at=200))
    assert sessions.due(50.0) == []
    sessions.put("early", session(expires_at=100))
    assert sessions.due(100.0) == ["early"]


def test_a_renewed_session_is_due_by_its_new_token() -> None:
    sessions = SocketSessions()
    sessions.put("a", session(expires_at=100))
    sessions.put("a", session(expires_at=200))
    assert sessions.due(100.0) == []
    assert sessions.due(200.0) == ["a"]


def test_no_session_is_due_where_there_is_none() -> None:
    sessions = SocketSessions()
    assert sessions.due(1e12) == []
    sessions.put("a", session())
    sessions.discard("a")
    assert sessions.due(1e12) == []
    sessions.put("b", session())
    assert sessions.due(1e12) == ["b"]
