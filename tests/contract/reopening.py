"""What a durable back end promises besides: what it kept is there when it is opened again.

A back end runs the tests in a subclass whose fixture `reopen` opens the same stores, which are empty at first.
"""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from chatio.stores.accounts import Ended, LoginCount
from chatio.stores.opening import Stores
from chatio.stores.records import Record
from tests.contract.changes import deletion, edit
from tests.contract.journal import message
from tests.contract.user_store import ADA, EVE

Reopen = Callable[[], Awaitable[Stores]]

LATER = 2_000_000_000.0


class ReopeningContract:
    @pytest.fixture
    def reopen(self) -> Reopen:
        raise NotImplementedError("a back end returns a function that opens its stores here")

    async def test_messages_numbers_and_epoch_are_as_before(self, reopen: Reopen) -> None:
        stores = await reopen()
        assert stores.journal.is_durable
        batch = [message("a"), message("b", content="Ünï \U0001f600")]
        await stores.journal.append(batch)
        await stores.journal.append([message("c")])
        await stores.journal.forget(1, limit=1)
        before = await stores.journal.extent()
        await stores.close()
        stores = await reopen()
        assert await stores.journal.extent() == before
        assert await stores.journal.read(0, limit=9) == [Record(2, batch[1]), Record(3, message("c"))]
        again, new = await stores.journal.append([message("c"), message("d")])
        assert (again.record.number, again.is_new, new.record.number, new.is_new) == (3, False, 4, True)
        await stores.close()

    async def test_changes_are_as_before(self, reopen: Reopen) -> None:
        stores = await reopen()
        await stores.journal.append([message("a"), message("b")])
        changes = [edit("k1", "a", "other"), deletion("k2", "b")]
        await stores.journal.change(changes)
        before = await stores.journal.read(0, limit=9)
        await stores.close()
        stores = await reopen()
        assert await stores.journal.read(0, limit=9) == before
        assert [result.is_new for result in await stores.journal.change(changes)] == [False, False]
        await stores.close()

    async def test_a_renewed_epoch_stays(self, reopen: Reopen) -> None:
        stores = await reopen()
        new = await stores.journal.renew_epoch((await stores.journal.extent()).epoch)
        await stores.close()
        stores = await reopen()
        assert (await stores.journal.extent()).epoch == new
        await stores.close()

    async def test_users_are_as_before(self, reopen: Reopen) -> None:
        stores = await reopen()
        for user in (ADA, EVE):
            await stores.users.add(user)
        await stores.users.remove(EVE.id, password_hash=EVE.password_hash)
        await stores.users.replace_password_hash(ADA.id, old=ADA.password_hash, new="$new")
        await stores.close()
        stores = await reopen()
        found = await stores.users.get(ADA.id)
        assert found is not None
        assert found.password_hash == "$new"
        assert await stores.users.get(EVE.id) is None
        await stores.close()

    async def test_a_mute_outlasts_the_account_and_a_restart(self, reopen: Reopen) -> None:
        stores = await reopen()
        muted = msgspec.structs.replace(EVE, muted_until=LATER)
        await stores.users.add(muted)
        await stores.users.remove(EVE.id, password_hash=EVE.password_hash, now=LATER - 1)
        await stores.close()
        stores = await reopen()
        assert await stores.users.muted(LATER - 1) == []
        assert await stores.users.add(EVE) == muted
        await stores.close()

    async def test_revoked_tokens_are_as_before_until_they_are_over(self, reopen: Reopen) -> None:
        ended = [
            Ended("7", "token", 1_700_000_000.123456, LATER),
            Ended("8", "", 1_700_000_000.123457, LATER - 1),
            Ended("7", "", 1_700_000_000.5, LATER + 1),
        ]
        stores = await reopen()
        assert await stores.revocations.all(0) == []
        for each in ended:
            await stores.revocations.add(each)
        await stores.close()
        stores = await reopen()
        assert await stores.revocations.all(LATER - 2) == ended
        assert await stores.revocations.all(LATER) == ended[1:]  # the second is over, and the latest of all tokens
        assert await stores.revocations.all(LATER + 1) == ended[2:]
        assert await stores.revocations.all(0) == ended[2:]
        await stores.close()

    async def test_counts_of_logins_are_as_before_until_they_are_over(self, reopen: Reopen) -> None:
        one, other, third = (LoginCount("known", key, '{"a": 1}', LATER + n) for n, key in enumerate("äbc"))
        same_key = LoginCount("account", one.key, "[3,1.5]", LATER + 9)
        stores = await reopen()
        await stores.logins.save([], gone=[])
        await stores.logins.save([third, other, one, same_key], gone=[])
        changed = other._replace(value="2", until=LATER + 1.5)
        await stores.logins.save([changed], gone=[("known", third.key), ("account", "never there")])
        await stores.close()
        stores = await reopen()
        assert await stores.logins.all(LATER - 1) == [one, changed, same_key]
        assert await stores.logins.all(LATER) == [changed, same_key]
        await stores.close()
        stores = await reopen()
        assert await stores.logins.all(0) == [changed, same_key]
        await stores.close()
