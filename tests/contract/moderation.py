"""The contract of a `ModerationStore`, and of what a `UserStore` tells of the standing of users.

A back end runs the tests in a subclass whose fixture `stores` returns empty stores.
"""

import asyncio

import msgspec
import pytest

from chatio.stores.accounts import WITHOUT_END, User
from chatio.stores.moderation import Act
from chatio.stores.opening import Stores
from tests.contract.user_store import ADA, EVE

OWNER = msgspec.structs.replace(ADA, role="owner")
BANNED = msgspec.structs.replace(EVE, banned_until=WITHOUT_END, muted_until=1_700_000_000.123456)


def act(reason: str = "spam", **fields: object) -> Act:
    return Act(
        **{
            "at": "2026-01-02T03:04:05.678Z",
            "actor_id": ADA.id,
            "actor_name": ADA.name,
            "action": "ban",
            "user_id": EVE.id,
            "user_name": EVE.name,
            "reason": reason,
            "until": WITHOUT_END,
        }
        | fields  # type: ignore[arg-type]
    )


class ModerationContract:
    @pytest.fixture
    def stores(self) -> Stores:
        raise NotImplementedError("a back end returns empty stores here")

    async def test_a_new_trail_is_empty(self, stores: Stores) -> None:
        assert await stores.moderation.acts(0, limit=9) == []
        assert await stores.moderation.last_number() == 0

    async def test_an_act_changes_the_standing_and_is_in_the_trail(self, stores: Stores) -> None:
        for user in (OWNER, EVE):
            await stores.users.add(user)
        assert await stores.moderation.record(act(), by=OWNER, change=(EVE, BANNED)) == 1
        assert await stores.users.get(EVE.id) == BANNED
        assert await stores.users.get(OWNER.id) == OWNER
        assert await stores.moderation.record(act("Ünï 😀", until=0.5, detail="x")) == 2
        assert [tuple(each) for each in await stores.moderation.acts(0, limit=9)] == [
            (1, act()),
            (2, act("Ünï 😀", until=0.5, detail="x")),
        ]
        assert [number for number, _ in await stores.moderation.acts(1, limit=9)] == [2]
        assert [number for number, _ in await stores.moderation.acts(0, limit=1)] == [1]
        assert await stores.moderation.last_number() == 2

    async def test_a_password_that_changed_meanwhile_stays(self, stores: Stores) -> None:
        await stores.users.add(EVE)
        await stores.users.replace_password_hash(EVE.id, old=EVE.password_hash, new="$new")
        assert await stores.moderation.record(act(), change=(EVE, BANNED)) == 1
        user = await stores.users.get(EVE.id)
        assert user == msgspec.structs.replace(BANNED, password_hash="$new")

    @pytest.mark.parametrize("role", ["member", "moderator"])
    async def test_an_actor_who_has_the_role_no_more_changes_nothing(self, stores: Stores, role: str) -> None:
        for user in (msgspec.structs.replace(ADA, role=role), EVE):
            await stores.users.add(user)
        assert await stores.moderation.record(act(), by=OWNER, change=(EVE, BANNED)) is None
        assert await stores.moderation.record(act(), by=msgspec.structs.replace(OWNER, id="none")) is None
        assert await stores.users.get(EVE.id) == EVE
        assert await stores.moderation.acts(0, limit=9) == []

    @pytest.mark.parametrize(
        "changed",
        [{"role": "moderator"}, {"banned_until": 1.0}, {"muted_until": 1.0}, {"reset_hash": "x"}, {"id": "none"}],
    )
    async def test_a_standing_that_changed_meanwhile_stays(
        self, stores: Stores, changed: dict[str, object]
    ) -> None:
        user = msgspec.structs.replace(EVE, **changed)
        await stores.users.add(user)
        assert await stores.moderation.record(act(), change=(EVE, BANNED)) is None
        assert await stores.users.get(user.id) == user
        assert await stores.moderation.acts(0, limit=9) == []

    async def test_acts_at_once_are_numbered_without_gaps_and_each_counts(self, stores: Stores) -> None:
        for user in (OWNER, EVE):
            await stores.users.add(user)
        recording = (stores.moderation.record(act(f"{n}"), by=OWNER, change=(EVE, BANNED)) for n in range(5))
        outcomes = await asyncio.gather(*recording, *(stores.moderation.record(act(f"{n}")) for n in range(9)))
        assert sum(number is None for number in outcomes) == 4
        assert sorted(number for number in outcomes if number) == list(range(1, 11))
        assert [number for number, _ in await stores.moderation.acts(0, limit=99)] == list(range(1, 11))

    async def test_a_new_password_forgets_the_code(self, stores: Stores) -> None:
        user = msgspec.structs.replace(ADA, reset_hash="$code", reset_until=1.0)
        await stores.users.add(user)
        assert await stores.users.get(ADA.id) == user
        await stores.users.replace_password_hash(ADA.id, old=ADA.password_hash, new="$new")
        found = await stores.users.get(ADA.id)
        assert found is not None
        assert found.reset_hash == ""

    async def test_users_are_found_by_a_part_of_their_key_page_by_page(self, stores: Stores) -> None:
        keys = ["", "%", "_", "a", "ab", "b", "ba", "bab", "é", "\U0001f600"]
        for key in reversed(keys):
            await stores.users.add(user_with(key))
        find = stores.users.find
        assert [user.name_key for user in await find("", "", limit=99)] == keys[1:]
        assert [user.name_key for user in await find("a", "", limit=2)] == ["a", "ab"]
        assert [user.name_key for user in await find("a", "ab", limit=2)] == ["ba", "bab"]
        for part in ("%", "_", "é"):
            assert [user.name_key for user in await find(part, "", limit=99)] == [part]
        assert await find("ba", "bab", limit=9) == []
        assert await find("A", "", limit=9) == []

    async def test_users_who_are_muted_are_told(self, stores: Stores) -> None:
        muted = msgspec.structs.replace(EVE, muted_until=100.5)
        for user in (ADA, muted):
            await stores.users.add(user)
        assert await stores.users.muted(100.0) == [muted]
        assert await stores.users.muted(100.5) == []
        assert await stores.users.muted(0.0) == [muted]


def user_with(name_key: str) -> User:
    return msgspec.structs.replace(ADA, id=name_key, email_key=name_key, name_key=name_key, name_look=name_key)
