"""The contract of a `UserStore`: the tests that every back end must pass.

A back end runs them in a subclass whose fixture `store` returns an empty store; see `test_memory_user_store`.
"""

import asyncio

import msgspec
import pytest

from chatio.errors import EmailAlreadyUsed, NameTaken
from chatio.stores.accounts import WITHOUT_END, User, UserStore

ADA = User("id-of-ada", "Ada", "key of ada", "look of ada", "Ada@chat.test", "ada@chat.test", "$hash$of$ada")
EVE = User("id-of-eve", "Eve", "key of eve", "look of eve", "eve@chat.test", "eve@chat.test", "$hash$of$eve")


class UserStoreContract:
    @pytest.fixture
    def store(self) -> UserStore:
        raise NotImplementedError("a back end returns an empty store here")

    async def test_a_new_store_is_empty(self, store: UserStore) -> None:
        assert await store.get(ADA.id) is None
        assert await store.get_by_email_key(ADA.email_key) is None

    async def test_an_added_user_is_found_by_id_and_by_key_unchanged(self, store: UserStore) -> None:
        for user in (ADA, EVE):
            await store.add(user)
        for user in (ADA, EVE):
            assert await store.get(user.id) == user
            assert await store.get_by_email_key(user.email_key) == user

    @pytest.mark.parametrize("id_", ["", "ID-OF-ADA", "id-of-ada ", "id-of-ad%", ADA.email_key])
    async def test_another_id_finds_no_user(self, store: UserStore, id_: str) -> None:
        await store.add(ADA)
        assert await store.get(id_) is None

    @pytest.mark.parametrize(
        "key", ["", "Ada@chat.test", "ADA@CHAT.TEST", "ada@chat.test ", "%", "ad_@chat.test", ADA.id]
    )
    async def test_keys_are_compared_as_they_are(self, store: UserStore, key: str) -> None:
        """The registry decides which e-mail addresses are the same, not the store."""
        await store.add(ADA)
        assert await store.get_by_email_key(key) is None
        other = msgspec.structs.replace(EVE, email_key=key)
        await store.add(other)
        assert await store.get_by_email_key(key) == other
        assert await store.get_by_email_key(ADA.email_key) == ADA

    async def test_a_user_with_a_taken_key_is_refused_and_nothing_changes(self, store: UserStore) -> None:
        await store.add(ADA)
        impostor = msgspec.structs.replace(EVE, email_key=ADA.email_key, name_key=ADA.name_key)
        with pytest.raises(EmailAlreadyUsed):
            await store.add(impostor)
        assert await store.get(impostor.id) is None
        assert await store.get_by_email_key(ADA.email_key) == ADA
        await store.add(EVE)  # neither of its keys was kept

    @pytest.mark.parametrize("taken", [{"name_key": ADA.name_key}, {"name_look": ADA.name_look}])
    async def test_a_user_with_a_taken_name_is_refused_and_nothing_changes(
        self, store: UserStore, taken: dict[str, str]
    ) -> None:
        await store.add(ADA)
        with pytest.raises(NameTaken):
            await store.add(msgspec.structs.replace(EVE, **taken))
        assert await store.get(EVE.id) is None
        assert await store.get_by_email_key(EVE.email_key) is None
        await store.add(EVE)
        assert await store.get(ADA.id) == ADA

    @pytest.mark.parametrize("key", ["", "x", "XÉ", "xé ", "xe\u0301", "%", "x_", ADA.id])
    async def test_keys_of_names_are_compared_as_they_are(self, store: UserStore, key: str) -> None:
        """A key of one kind is not compared with a key of the other kind."""
        await store.add(msgspec.structs.replace(ADA, name_key="xé", name_look=key))
        other = msgspec.structs.replace(EVE, name_key=key, name_look="xé")
        await store.add(other)
        assert await store.get(EVE.id) == other

    @pytest.mark.parametrize("other", ["name_key", "name_look"])
    async def test_of_many_at_once_with_one_name_exactly_one_gets_it(self, store: UserStore, other: str) -> None:
        users = [
            msgspec.structs.replace(ADA, **{"id": f"id-{n}", "email_key": f"{n}@chat.test", other: f"{n}"})
            for n in range(20)
        ]
        outcomes = await asyncio.gather(*(store.add(user) for user in users), return_exceptions=True)
        (winner,) = (user for user, outcome in zip(users, outcomes, strict=True) if outcome == user)
        assert [type(outcome) for outcome in outcomes if outcome != winner] == [NameTaken] * 19
        found = [await store.get(user.id) for user in users]
        assert [user for user in found if user is not None] == [winner]

    async def test_the_same_user_twice_is_refused(self, store: UserStore) -> None:
        await store.add(ADA)
        with pytest.raises(EmailAlreadyUsed):
            await store.add(ADA)

    async def test_of_many_at_once_with_one_key_exactly_one_gets_it(self, store: UserStore) -> None:
        users = [msgspec.structs.replace(ADA, id=f"id-{n}", name=f"Ada {n}") for n in range(20)]
        outcomes = await asyncio.gather(*(store.add(user) for user in users), return_exceptions=True)
        (winner,) = (user for user, outcome in zip(users, outcomes, strict=True) if outcome == user)
        assert [type(outcome) for outcome in outcomes if outcome != winner] == [EmailAlreadyUsed] * 19
        assert await store.get_by_email_key(ADA.email_key) == winner
        found = [await store.get(user.id) for user in users]
        assert [user for user in found if user is not None] == [winner]

    async def test_many_at_once_with_different_keys_are_all_added(self, store: UserStore) -> None:
        users = [
            msgspec.structs.replace(
                ADA, id=f"id-{n}", email_key=f"{n}@chat.test", name_key=f"{n}", name_look=f"{n}"
            )
            for n in range(20)
        ]
        await asyncio.gather(*(store.add(user) for user in users))
        assert [await store.get_by_email_key(user.email_key) for user in users] == users

    @pytest.mark.parametrize(
        "text", ["'; DROP TABLE users; --", "Ünï \U0001f600 עדה", "x" * 320, "\u200d", "%_\\"]
    )
    async def test_any_text_is_kept_as_it_is(self, store: UserStore, text: str) -> None:
        user = User(text, text, text, text, text, text, text)
        await store.add(user)
        assert await store.get(text) == user
        assert await store.get_by_email_key(text) == user

    async def test_a_hash_is_replaced_and_nothing_else(self, store: UserStore) -> None:
        for user in (ADA, EVE):
            await store.add(user)
        assert await store.replace_password_hash(ADA.id, old=ADA.password_hash, new="$new")
        renewed = msgspec.structs.replace(ADA, password_hash="$new")
        assert await store.get(ADA.id) == renewed
        assert await store.get_by_email_key(ADA.email_key) == renewed
        assert await store.get(EVE.id) == EVE

    @pytest.mark.parametrize("old", ["", "$another", "$HASH$OF$ADA"])
    async def test_a_hash_is_not_replaced_if_it_is_another(self, store: UserStore, old: str) -> None:
        await store.add(ADA)
        assert not await store.replace_password_hash(ADA.id, old=old, new="$new")
        assert await store.get(ADA.id) == ADA

    async def test_of_many_replacements_of_one_hash_exactly_one_counts(self, store: UserStore) -> None:
        await store.add(ADA)
        news = [f"$new-{n}" for n in range(10)]
        replacing = (store.replace_password_hash(ADA.id, old=ADA.password_hash, new=new) for new in news)
        assert sorted(await asyncio.gather(*replacing)) == [False] * 9 + [True]
        user = await store.get(ADA.id)
        assert user is not None
        assert user.password_hash in news
        assert not await store.replace_password_hash(ADA.id, old=ADA.password_hash, new="$late")
        assert await store.get(ADA.id) == user

    async def test_replacing_the_hash_of_an_unknown_user_does_nothing(self, store: UserStore) -> None:
        assert not await store.replace_password_hash("nobody", old="", new="$new")
        assert await store.get("nobody") is None

    async def test_a_removed_user_is_not_found_and_other_users_are(self, store: UserStore) -> None:
        for user in (ADA, EVE):
            await store.add(user)
        assert await store.remove(ADA.id, password_hash=ADA.password_hash)
        assert await store.get(ADA.id) is None
        assert await store.get_by_email_key(ADA.email_key) is None
        assert await store.get(EVE.id) == EVE
        assert await store.get_by_email_key(EVE.email_key) == EVE

    async def test_the_keys_of_a_removed_user_are_free(self, store: UserStore) -> None:
        await store.add(ADA)
        await store.remove(ADA.id, password_hash=ADA.password_hash)
        successor = msgspec.structs.replace(
            EVE, email_key=ADA.email_key, name_key=ADA.name_key, name_look=ADA.name_look
        )
        await store.add(successor)
        assert await store.get_by_email_key(ADA.email_key) == successor
        assert not await store.replace_password_hash(ADA.id, old=ADA.password_hash, new="$new")

    @pytest.mark.parametrize("password_hash", ["", "$another", "$HASH$OF$ADA", EVE.password_hash])
    async def test_a_user_with_another_hash_is_not_removed(self, store: UserStore, password_hash: str) -> None:
        for user in (ADA, EVE):
            await store.add(user)
        assert not await store.remove(ADA.id, password_hash=password_hash)
        assert await store.get(ADA.id) == ADA
        assert await store.get_by_email_key(ADA.email_key) == ADA

    async def test_of_many_removals_exactly_one_counts(self, store: UserStore) -> None:
        await store.add(ADA)
        removing = (store.remove(ADA.id, password_hash=ADA.password_hash) for _ in range(10))
        assert sorted(await asyncio.gather(*removing)) == [False] * 9 + [True]

    async def test_of_a_new_hash_and_a_removal_exactly_one_counts(self, store: UserStore) -> None:
        await store.add(ADA)
        outcomes = await asyncio.gather(
            store.replace_password_hash(ADA.id, old=ADA.password_hash, new="$new"),
            store.remove(ADA.id, password_hash=ADA.password_hash),
        )
        assert sorted(outcomes) == [False, True]
        assert (await store.get(ADA.id) is None) is outcomes[1]

    async def test_removing_an_unknown_user_does_nothing(self, store: UserStore) -> None:
        assert not await store.remove("nobody", password_hash="")

    @pytest.mark.parametrize(
        ("banned", "muted"), [(0.0, 200.5), (200.5, 0.0), (WITHOUT_END, 50.0), (100.5, WITHOUT_END)]
    )
    async def test_a_ban_and_a_mute_outlast_the_account(
        self, store: UserStore, banned: float, muted: float
    ) -> None:
        for user in (ADA, msgspec.structs.replace(EVE, banned_until=banned, muted_until=muted)):
            await store.add(user)
        assert await store.remove(EVE.id, password_hash=EVE.password_hash, now=100.0)
        assert [user.id for user in await store.muted(100.0)] == []
        with pytest.raises(NameTaken):
            await store.add(msgspec.structs.replace(EVE, name_key=ADA.name_key))
        other = msgspec.structs.replace(EVE, id="other", email_key="EVE@chat.test", name_key="o", name_look="o")
        assert await store.add(other) == other
        again = msgspec.structs.replace(EVE, id="again")
        expected = msgspec.structs.replace(again, banned_until=banned, muted_until=muted)
        assert await store.add(again) == expected
        assert await store.get("again") == expected

    async def test_a_ban_or_a_mute_is_with_one_account_only(self, store: UserStore) -> None:
        await store.add(msgspec.structs.replace(EVE, muted_until=200.0))
        assert await store.remove(EVE.id, password_hash=EVE.password_hash, now=100.0)
        await store.add(msgspec.structs.replace(EVE, role="owner", banned_until=300.0))
        user = await store.get(EVE.id)
        assert user is not None
        assert (user.banned_until, user.muted_until) == (300.0, 200.0)
        assert await store.remove(EVE.id, password_hash=EVE.password_hash, now=300.0)
        assert await store.add(EVE) == EVE

    async def test_what_is_over_is_not_kept_of_a_removed_user(self, store: UserStore) -> None:
        for number, until in enumerate((100.0, 200.0)):
            user = msgspec.structs.replace(EVE, id=f"{number}", muted_until=until)
            await store.add(user)
            assert await store.remove(user.id, password_hash=EVE.password_hash, now=100.0)
            assert await store.muted(until) == []
            added = await store.add(EVE)
            assert added == EVE
            await store.remove(EVE.id, password_hash=EVE.password_hash)
