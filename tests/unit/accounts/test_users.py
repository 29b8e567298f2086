"""UserRegistry: the rules of registration and login, with the store in memory and cheap hashes."""

import asyncio

import pytest

from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.users import UserRegistry, account_key
from chatio.errors import BadCredentials, EmailAlreadyUsed, InvalidInput, Overloaded, UserUnknown
from chatio.stores.accounts import User
from chatio.stores.memory.accounts import MemoryUserStore
from tests.unit.accounts.conftest import MakeHasher

PASSWORD = "correct horse battery staple"
END = "fox 7 kg"  # of a long password that repeats the rest
ADA = ("Ada", "ada@chat.test", PASSWORD)


@pytest.fixture
def registry(hasher: PasswordHasher) -> UserRegistry:
    return UserRegistry(MemoryUserStore(), hasher)


async def wrong_fields(registry: UserRegistry, *, name: str, email: str, password: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        await registry.register(name, email, password)
    assert all(error.message for error in caught.value.errors)
    return [error.field for error in caught.value.errors]


# --- registration


async def test_a_registered_user_has_an_id_and_a_hash_instead_of_a_password(registry: UserRegistry) -> None:
    user = await registry.register(*ADA)
    assert (user.name, user.email) == ("Ada", "ada@chat.test")
    assert len(user.id) == 36
    assert PASSWORD not in repr(user)
    assert user.password_hash.startswith("$argon2id$")
    assert await registry.get(user.id) == user


async def test_no_two_users_have_the_same_id(registry: UserRegistry) -> None:
    users = [await registry.register(f"Ada {n}", f"{n}@chat.test", PASSWORD) for n in range(3)]
    assert len({user.id for user in users}) == 3


async def test_get_of_an_unknown_id_raises(registry: UserRegistry) -> None:
    with pytest.raises(UserUnknown):
        await registry.get("nobody")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ada", "Ada"),
        ("  Ada Lovelace\t\n", "Ada Lovelace"),
        ("x", "x"),
        ("x" * 64, "x" * 64),
        (" " + "x" * 64 + " ", "x" * 64),
        ("\U0001f600", "\U0001f600"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("עדה", "עדה"),
        ("O'Neil <b>", "O'Neil <b>"),
    ],
)
async def test_a_name_is_kept_without_the_space_around_it(registry: UserRegistry, written: str, kept: str) -> None:
    user = await registry.register(written, "ada@chat.test", PASSWORD)
    assert user.name == kept


@pytest.mark.parametrize(
    "name",
    [
        *("", "   ", "x" * 65, "A\x00da", "A\nda", "A\x7fda", "A\x85da", "A\ud83dda", "A\u2028da", "A\u2029da"),
        *("A\u202eda", "A\u2066da", "\u200b", "\u200d\ufe0f", "\u0301"),
    ],
)
async def test_a_name_that_cannot_be_shown_is_refused(registry: UserRegistry, name: str) -> None:
    assert await wrong_fields(registry, name=name, email="ada@chat.test", password=PASSWORD) == ["name"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("ada@chat.test", "ada@chat.test"),
        (" ada@chat.test\n", "ada@chat.test"),
        ("Ada@CHAT.test", "Ada@chat.test"),
        ("ada@printer.local", "ada@printer.local"),
        ("ada@PRINTER.LOCAL", "ada@printer.local"),
        ("ada+chat@example.com", "ada+chat@example.com"),
        ("adä@bücher.example.com", "adä@bücher.example.com"),
    ],
)
async def test_an_address_is_kept_as_it_was_written(registry: UserRegistry, written: str, kept: str) -> None:
    user = await registry.register("Ada", written, PASSWORD)
    assert user.email == kept


@pytest.mark.parametrize(
    "email",
    [
        *("", "ada", "@chat.test", "ada@", "ada@@chat.test", "ada@chat", "ada@localhost", "a da@chat.test"),
        *("ada@ch at.test", "ada@[127.0.0.1]", '"ada"@chat.test', "Ada <ada@chat.test>", "ada@chat.test\x00"),
        *("ada\ud83d@chat.test", "ada@\ud83d.test", "ada@-chat.test", "ada\ufffd@chat.test"),
        f"ada@{'x' * 300}.test",
        f"ada@{'x.' * 2000}test",
        f"ada@{'b.' * 17}test",
        f"ada@{'ß' * 64}.test",
    ],
)
async def test_a_text_that_is_no_address_is_refused(registry: UserRegistry, email: str) -> None:
    assert await wrong_fields(registry, name="Ada", email=email, password=PASSWORD) == ["email"]


@pytest.mark.parametrize("password", ["", "x" * 7, "x" * 129, "\U0001f600" * 7])
async def test_a_password_of_another_length_is_refused(registry: UserRegistry, password: str) -> None:
    assert await wrong_fields(registry, name="Ada", email="ada@chat.test", password=password) == ["password"]


@pytest.mark.parametrize(
    "password",
    [
        *(
            "xykwzqvj",
            "xy" * 60 + END,
            "\U0001f600\U0001f601" * 60 + END,
            " leading",
            "nul\x00x\x00yz",
            "\ud83dx fox78",
        ),
        *("e\u0301x" * 60 + END, "\u1f82x" * 60 + END, "\u1100\u1161\u11a8x" * 60 + END, "a b\u00a0c\u3000dd"),
    ],
)
async def test_every_password_that_registers_also_logs_in(registry: UserRegistry, password: str) -> None:
    user = await registry.register("Ada", "ada@chat.test", password)
    assert await registry.authenticate("ada@chat.test", password) == user


async def test_all_invalid_fields_are_reported_together(registry: UserRegistry) -> None:
    assert await wrong_fields(registry, name="", email="", password="") == ["name", "email", "password"]


@pytest.mark.parametrize("again", ["ada@chat.test", "ADA@chat.test", "ada@CHAT.TEST", " Ada@Chat.Test "])
async def test_an_address_is_used_once_whatever_its_case(registry: UserRegistry, again: str) -> None:
    await registry.register(*ADA)
    with pytest.raises(EmailAlreadyUsed):
        await registry.register("Somebody else", again, PASSWORD)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(
            ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
            ("ann@B\u00dcCHER.example", "ANN@bu\u0308cher.example"),
        ),
        *(("ad\u00e4@chat.test", "ada\u0308@chat.test"), ("AD\u00c4@chat.test", "ad\u00e4@CHAT.TEST")),
        *(("ann@stra\u00dfe.test", "ann@xn--strae-oqa.test"), ("ann@\uff43hat.test", "ann@chat.test")),
        ("ann@b\u00fccher.local", "ann@xn--bcher-kva.LOCAL"),
    ],
)
async def test_two_spellings_of_one_address_are_one_user(registry: UserRegistry, one: str, other: str) -> None:
    ann = await registry.register("Ann", one, PASSWORD)
    with pytest.raises(EmailAlreadyUsed):
        await registry.register("Bob", other, PASSWORD)
    assert await registry.authenticate(other, PASSWORD) == ann


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("ann@stra\u00dfe.test", "ann@strasse.test"), ("ann@fa\u00df.example", "ann@fass.example")),
        *(("ann@\u03c2.test", "ann@\u03c3.test"), ("stra\u00dfe@chat.test", "strasse@chat.test")),
        *(("\ufb01@chat.test", "fi@chat.test"), ("ann@b\u00fccher.test", "ann@bucher.test")),
    ],
)
async def test_addresses_that_idna_2008_tells_apart_are_two_users(
    registry: UserRegistry, one: str, other: str
) -> None:
    ann = await registry.register("Ann", one, PASSWORD)
    bob = await registry.register("Bob", other, "another password")
    assert await registry.authenticate(one, PASSWORD) == ann
    assert await registry.authenticate(other, "another password") == bob
    with pytest.raises(BadCredentials):
        await registry.authenticate(other, PASSWORD)


def test_a_long_text_is_no_address_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def parse(text: str, **_: object) -> None:
        parsed.append(text)
        raise ValueError

    monkeypatch.setattr("chatio.accounts.users.validate_email", parse)
    for text in ("(" * 15_900, "x" * 245 + "@chat.test", "x" * 65 + "@chat.test", "\u00e4" * 255):
        assert account_key(text) == text
    account_key("x" * 64 + "@" + ("a" * 59 + ".") * 3 + "test")
    assert [len(text) for text in parsed] == [249]


async def test_the_longest_address_registers_and_logs_in(registry: UserRegistry) -> None:
    address = f"{'x' * 64}@{'y' * 63}.{'y' * 63}.{'y' * 56}.test"
    assert len(address) == 254
    user = await registry.register("Ada", address, PASSWORD)
    assert await registry.authenticate(address, PASSWORD) == user


async def test_of_two_registrations_at_once_one_succeeds_and_one_raises(registry: UserRegistry) -> None:
    outcomes = await asyncio.gather(
        registry.register(*ADA), registry.register("Eve", "ADA@chat.test", PASSWORD), return_exceptions=True
    )
    taken = [outcome for outcome in outcomes if isinstance(outcome, User)]
    assert [type(outcome) for outcome in outcomes if outcome not in taken] == [EmailAlreadyUsed]
    (user,) = taken
    assert await registry.authenticate("ada@chat.test", PASSWORD) == user


async def test_a_registration_that_is_refused_costs_no_hash_and_leaves_nothing(make_hasher: MakeHasher) -> None:
    """A hasher without capacity would raise if it were called."""
    no_hasher = make_hasher(max_waiting=0)
    store = MemoryUserStore()
    registry = UserRegistry(store, no_hasher)
    await wrong_fields(registry, name="", email="ada@chat.test", password=PASSWORD)
    with pytest.raises(Overloaded):
        await registry.register(*ADA)
    assert await store.get_by_email_key("ada@chat.test") is None
    await store.add(User("1", "Ada", "ada", "ada", "ada@chat.test", "ada@chat.test", "hash"))
    with pytest.raises(EmailAlreadyUsed):
        await registry.register(*ADA)


# --- login


@pytest.mark.parametrize("email", ["ada@chat.test", "ADA@chat.test", " ada@CHAT.test "])
async def test_the_right_password_logs_in_in_any_case_of_the_address(registry: UserRegistry, email: str) -> None:
    user = await registry.register(*ADA)
    assert await registry.authenticate(email, PASSWORD) == user


@pytest.mark.parametrize(
    "credentials",
    [
        ("ada@chat.test", "something else"),
        ("ada@chat.test", PASSWORD.upper()),
        ("ada@chat.test", PASSWORD + " "),
        ("ada@chat.test", "x"),
        ("ada@chat.test", "\ud83d"),
        ("ada@chat.test", PASSWORD * 500),
        ("eve@chat.test", PASSWORD),
        ("no address", PASSWORD),
        ("\ud83d@chat.test", PASSWORD),
        ("eve@chat.test", "x" * 16_000),
    ],
)
async def test_wrong_credentials_raise_one_error(registry: UserRegistry, credentials: tuple[str, str]) -> None:
    await registry.register(*ADA)
    with pytest.raises(BadCredentials) as caught:
        await registry.authenticate(*credentials)
    assert caught.value.args == ()


@pytest.mark.parametrize("wrong", [PASSWORD + "x" * 200, PASSWORD[:-1]])
async def test_a_password_is_compared_to_its_end(registry: UserRegistry, wrong: str) -> None:
    await registry.register("Ada", "ada@chat.test", PASSWORD)
    await registry.register("Eve", "eve@chat.test", "xy" * 60 + END)
    for credentials in (("ada@chat.test", wrong), ("eve@chat.test", "xy" * 60 + END + "x")):
        with pytest.raises(BadCredentials):
            await registry.authenticate(*credentials)


@pytest.mark.parametrize("email", ["ada@chat.test", "eve@chat.test", "no address"])
async def test_unknown_users_wait_in_the_same_queue_as_known_ones(email: str, make_hasher: MakeHasher) -> None:
    """With a queue without capacity, only a check without a hash would not raise."""
    no_hasher = make_hasher(max_waiting=0)
    store = MemoryUserStore()
    await store.add(User("1", "Ada", "ada", "ada", "ada@chat.test", "ada@chat.test", "$argon2id$"))
    with pytest.raises(Overloaded):
        await UserRegistry(store, no_hasher).authenticate(email, PASSWORD)


@pytest.mark.parametrize(
    ("credentials", "fields"),
    [
        (("", PASSWORD), ["email"]),
        (("  ", PASSWORD), ["email"]),
        (("ada@chat.test", ""), ["password"]),
        (("", ""), ["email", "password"]),
    ],
)
async def test_empty_credentials_are_invalid(
    registry: UserRegistry, credentials: tuple[str, str], fields: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await registry.authenticate(*credentials)
    assert [error.field for error in caught.value.errors] == fields


async def test_hash_of_old_parameters_is_renewed_at_login(hasher: PasswordHasher, make_hasher: MakeHasher) -> None:
    store = MemoryUserStore()
    older = make_hasher(memory_kib=16, iterations=2)
    user = await UserRegistry(store, older).register(*ADA)
    registry = UserRegistry(store, hasher)

    with pytest.raises(BadCredentials):
        await registry.authenticate(ADA[1], "something else")
    assert (await registry.get(user.id)).password_hash == user.password_hash

    await registry.authenticate(ADA[1], PASSWORD)
    renewed = (await registry.get(user.id)).password_hash
    assert "m=8,t=1,p=1" in renewed
    await registry.authenticate(ADA[1], PASSWORD)
    assert (await registry.get(user.id)).password_hash == renewed
