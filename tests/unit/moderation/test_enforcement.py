"""What acts mean in a process: its own at once, those of other processes with the next look at the trail."""

import time
from typing import NamedTuple

import pytest

from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.socket_sessions import EndReason
from chatio.errors import Muted, Overloaded, TokenRevoked
from chatio.moderation import enforcement
from chatio.moderation.enforcement import Enforcement, NoSockets
from chatio.moderation.moderation import Moderation
from chatio.stores.accounts import User
from chatio.stores.opening import Stores, in_memory
from chatio.throttling.rate_limiter import RateLimiter
from tests.contract.user_store import ADA, EVE
from tests.unit.clock import Clock

KEY = "the key of these tests, 32 bytes or more"
PASSWORD = "violet kettle 42"


class Told(NoSockets):
    """Whose sockets were to be closed, why, and until when."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, EndReason, float]] = []

    async def end_revoked(self, subject: str, reason: EndReason, until: float = 0.0) -> None:
        self.ended.append((subject, reason, until))


class Process(NamedTuple):
    """A process on stores that others share."""

    moderation: Moderation
    enforcement: Enforcement
    tokens: Tokens
    ended: list[tuple[str, EndReason, float]]


async def process(stores: Stores, clock: Clock, settled: list[str] | None = None) -> Process:
    """`settled`: what each act had ended when it began to wait for what was written before."""
    sockets = Told()

    async def settle(_seconds: float) -> None:
        if settled is not None:
            settled.append(" ".join(reason for _, reason, _ in sockets.ended))

    tokens = Tokens(KEY, ttl_seconds=3600, clock=clock)
    enforced = Enforcement(stores.moderation, stores.users, tokens, stores.revocations, settle=settle, clock=clock)
    enforced.sockets = sockets
    await enforced.open()
    users = UserRegistry(stores.users, PasswordHasher(memory_kib=8, iterations=1))
    moderation = Moderation(users, stores.moderation, enforced, RateLimiter(1, 1, is_on=False), clock)
    return Process(moderation, enforced, tokens, sockets.ended)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = float(int(time.time()))
    return clock


async def stores_of_two() -> Stores:
    stores = in_memory(max_messages=9, max_bytes=9)
    for user in (ADA, EVE):
        await stores.users.add(user)
    return stores


def is_muted(one: Process, user_id: str) -> bool:
    try:
        one.enforcement.voices.require(user_id)
    except Muted:
        return True
    return False


async def test_a_mute_counts_here_at_once_and_elsewhere_after_a_look(clock: Clock) -> None:
    stores = await stores_of_two()
    here, there = await process(stores, clock), await process(stores, clock)
    await here.moderation.mute(None, EVE.id, 60, "spam")
    assert (is_muted(here, EVE.id), is_muted(there, EVE.id), is_muted(here, ADA.id)) == (True, False, False)
    await there.enforcement.catch_up()
    assert is_muted(there, EVE.id)
    later = await process(stores, clock)
    assert is_muted(later, EVE.id)
    clock.now += 60
    assert not any(is_muted(each, EVE.id) for each in (here, there, later))
    await there.moderation.mute(None, EVE.id, 60, "spam")
    await here.moderation.lift(None, EVE.id, "mute", "enough")
    for each in (here, there):
        await each.enforcement.catch_up()
        assert not is_muted(each, EVE.id)


@pytest.mark.parametrize(("act", "reason"), [("ban", EndReason.BANNED), ("kick", EndReason.KICKED)])
async def test_what_ends_sessions_ends_them_once_here_and_once_elsewhere(
    clock: Clock, act: str, reason: EndReason
) -> None:
    stores = await stores_of_two()
    here, there = await process(stores, clock), await process(stores, clock)
    tokens = [each.tokens.issue(subject=EVE.id, name="Eve", email="e@x") for each in (here, there)]
    clock.now += 1
    arguments = (EVE.id, 60, "spam") if act == "ban" else (EVE.id, "spam")
    await getattr(here.moderation, act)(None, *arguments)
    until = clock.now + 60 if act == "ban" else 0.0
    assert here.ended == [(EVE.id, reason, until)]
    for _ in range(2):
        for each in (here, there):
            await each.enforcement.catch_up()
    assert here.ended == there.ended == [(EVE.id, reason, until)]
    for each in (here, there):
        for token in tokens:
            with pytest.raises(TokenRevoked):
                each.tokens.verify(token)


async def test_a_login_after_a_kick_is_not_ended_by_the_look_at_the_trail(clock: Clock) -> None:
    stores = await stores_of_two()
    here = await process(stores, clock)
    await here.moderation.kick(None, EVE.id, "spam")
    token = here.tokens.issue(subject=EVE.id, name="Eve", email="e@x")
    clock.now += 1
    await here.enforcement.catch_up()
    assert here.tokens.verify(token).subject == EVE.id


async def test_a_banned_user_says_nothing_on_a_socket_that_is_not_closed_yet(clock: Clock) -> None:
    stores = await stores_of_two()
    here = await process(stores, clock)
    await here.moderation.ban(None, EVE.id, None, "spam")
    assert is_muted(here, EVE.id)


async def test_a_deleted_user_is_gone_elsewhere_too(clock: Clock) -> None:
    stores = await stores_of_two()
    here, there = await process(stores, clock), await process(stores, clock)
    await here.moderation.remove(EVE.id, "asked for")
    await there.enforcement.catch_up()
    assert there.ended == [(EVE.id, EndReason.ACCOUNT_DELETED, 0.0)]
    assert await stores.users.get(EVE.id) is None


async def test_many_acts_are_applied_in_portions(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcement, "ACTS_AT_ONCE", 2)
    stores = await stores_of_two()
    here, there = await process(stores, clock), await process(stores, clock)
    for _ in range(3):
        await here.moderation.kick(None, EVE.id, "spam")
    await here.moderation.mute(None, ADA.id, 60, "spam")
    await there.enforcement.catch_up()
    assert (len(there.ended), is_muted(there, ADA.id)) == (2, False)
    await there.enforcement.catch_up()
    assert (len(there.ended), is_muted(there, ADA.id)) == (3, True)


async def test_an_act_on_a_user_who_is_changed_again_and_again_gives_up(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = await stores_of_two()
    here = await process(stores, clock)

    async def overtaken(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(stores.moderation, "record", overtaken)
    with pytest.raises(Overloaded):
        await here.moderation.kick(None, EVE.id, "spam")
    assert here.ended == []


async def registered(process: Process, name: str, email: str) -> User:
    user = await process.moderation.users.register(name, email, PASSWORD)
    await process.moderation.take_over(user)
    return user


@pytest.mark.parametrize("sanction", ["mute", "ban"])
async def test_a_deleted_account_leaves_its_sanction_to_the_next_one_of_the_address(
    clock: Clock, sanction: str
) -> None:
    stores = in_memory(max_messages=9, max_bytes=9)
    here, there = await process(stores, clock), await process(stores, clock)
    eve = await registered(here, "Eve", "eve@chat.test")
    await getattr(here.moderation, sanction)(None, eve.id, 60, "spam")
    await here.moderation.remove(eve.id, "gone")
    again = await registered(here, "Eve", "EVE@chat.test")
    other = await registered(here, "Ada", "ada@chat.test")
    await there.enforcement.catch_up()
    for each in (here, there):
        assert (is_muted(each, again.id), is_muted(each, other.id)) == (True, False)
    number, act = (await stores.moderation.acts(0, limit=9))[-1]
    assert (number, act.action, act.actor_name, act.user_id) == (3, sanction, "server", again.id)
    assert act.until == clock.now + 60
    await there.moderation.lift(None, again.id, sanction, "enough")  # type: ignore[arg-type]
    await here.enforcement.catch_up()
    assert not is_muted(here, again.id)
    await here.moderation.remove(again.id, "gone")
    third = await registered(here, "Eve", "eve@chat.test")
    assert not is_muted(here, third.id)


async def test_the_answer_to_an_act_waits_for_what_the_user_had_written(clock: Clock) -> None:
    settled: list[str] = []
    one = await process(await stores_of_two(), clock, settled)
    await one.moderation.mute(None, EVE.id, 60, "Spam.")
    await one.moderation.lift(None, EVE.id, "mute", "Sorry.")
    await one.moderation.kick(None, EVE.id, "Spam.")
    await one.moderation.ban(None, EVE.id, 60, "Spam.")
    assert settled == ["", "kicked", "kicked banned"]
