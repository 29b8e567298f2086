"""SocketSessions: the token of each socket, and when it expires."""

from chatio.chat.socket_sessions import SocketSession, SocketSessions


def session(subject: str = "ada", *, expires_at: int = 100) -> SocketSession:
    return SocketSession(subject, "t", 1.5, expires_at)


def put(sessions: SocketSessions, sid: str, session: SocketSession) -> None:
    sessions[sid] = session
    sessions.next_due = min(sessions.next_due, session.expires_at)


def test_where_gives_the_sids_of_the_sessions_that_match() -> None:
    sessions = SocketSessions()
    for sid, subject in [("a", "ada"), ("b", "eve"), ("c", "ada")]:
        put(sessions, sid, session(subject))
    assert sessions.where(lambda session: session.subject == "ada") == ["a", "c"]
    assert sessions.where(lambda session: session.subject == "zoe") == []


def test_a_session_is_due_from_its_second_on_until_it_is_discarded() -> None:
    sessions = SocketSessions()
    put(sessions, "late", session(expires_at=102))
    put(sessions, "early", session(expires_at=100))
    assert sessions.due(99.999) == []
    assert sessions.due(100.0) == ["early"]
    assert sessions.due(100.0) == ["early"]
    del sessions["early"]
    assert sessions.due(101.0) == []
    assert sessions.due(102.5) == ["late"]


def test_a_session_that_is_put_after_a_look_is_due_in_time() -> None:
    sessions = SocketSessions()
    put(sessions, "late", session(expires_at=200))
    assert sessions.due(50.0) == []
    put(sessions, "early", session(expires_at=100))
    assert sessions.due(100.0) == ["early"]


def test_a_renewed_session_is_due_by_its_new_token() -> None:
    sessions = SocketSessions()
    put(sessions, "a", session(expires_at=100))
    put(sessions, "a", session(expires_at=200))
    assert sessions.due(100.0) == []
    assert sessions.due(200.0) == ["a"]


def test_no_session_is_due_where_there_is_none() -> None:
    sessions = SocketSessions()
    assert sessions.due(1e12) == []
    put(sessions, "a", session())
    sessions.pop("a")
    assert sessions.due(1e12) == []
    put(sessions, "b", session())
    assert sessions.due(1e12) == ["b"]
