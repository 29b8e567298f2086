"""Presence: one exception costs one event, and the next one is told."""

import asyncio
from typing import Any, cast

import pytest

from chatio.chat.messages import Author
from chatio.chat.presence import Presence
from chatio.realtime import Server
from handlers.chat.presence_events import PresenceBroadcaster
from tests.client.wire import until
from tests.conftest import ExpectedLogs
from tests.unit.faults import fail_once


class Told:
    """Stands for the realtime server: what it is to tell, of which the first `errors` fail."""

    def __init__(self, *errors: type[Exception]) -> None:
        self.events: list[dict[str, Any]] = []
        self._errors = list(errors)

    def send_volatile(self, namespace: str, event: str, data: dict[str, Any], *, but: str | None = None) -> None:
        if self._errors:
            raise self._errors.pop()
        self.events.append(data)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.chat.presence_events.INTERVAL_SECONDS", 0.01)


async def test_change_that_could_not_be_told_is_told_a_second_later(
    error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"^presence failed: {error.__name__}")
    told = Told(error)
    presence = PresenceBroadcaster(cast(Server, told), "/chat", Presence())
    presence.connected(Author("1", "Ann"))
    await until(lambda: told.events)
    assert [event["online"] for event in told.events] == [1]
    presence.connected(Author("2", "Bob"))
    await until(lambda: len(told.events) == 2)
    assert [person["name"] for person in told.events[1]["came"]] == ["Bob"]


async def test_change_whose_timer_could_not_be_set_is_told_with_the_next(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"^presence failed: {error.__name__}")
    told = Told()
    presence = PresenceBroadcaster(cast(Server, told), "/chat", Presence())
    with monkeypatch.context() as patch:
        fail_once(patch, asyncio.get_running_loop(), "call_later", error)
        presence.connected(Author("1", "Ann"))
    presence.connected(Author("2", "Bob"))
    await until(lambda: told.events)
    assert [person["name"] for person in told.events[0]["came"]] == ["Ann", "Bob"]


async def test_who_typed_is_told_once_a_second_and_then_forgotten() -> None:
    told = Told()
    presence = PresenceBroadcaster(cast(Server, told), "/chat", Presence())
    for _ in range(3):
        presence.typing(Author("1", "Ann"), "a socket")
    assert told.events == [{"id": "1", "name": "Ann"}]
    await until(lambda: not presence._told_of)
    presence.typing(Author("1", "Ann"), "a socket")
    assert len(told.events) == 2
