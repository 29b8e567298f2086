"""PasswordHasher: on threads, bounded, and as slow for an unknown user as for a wrong password."""

import asyncio
import os
import threading
from contextlib import closing
from typing import Any

import pytest
from passlib.context import CryptContext

from chatio.accounts.password_rules import MAX_WRITTEN_CHARS
from chatio.accounts.passwords import HASHING_NICENESS, PasswordHasher
from chatio.errors import Overloaded
from tests.unit.accounts.conftest import MakeHasher

PASSWORD = "correct horse battery staple"


class Spy:
    """Records the arguments, thread and niceness of each call of a method of passlib's context."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: list[int] = []
        self.niceness: list[int] = []
        original = getattr(CryptContext, method)

        def noted(context: CryptContext, *args: Any) -> Any:
            self.calls.append(args)
            self.threads.append(threading.get_ident())
            self.niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return original(context, *args)

        monkeypatch.setattr(CryptContext, method, noted)


async def test_the_real_parameters_are_argon2id_as_owasp_has_them() -> None:
    with closing(PasswordHasher()) as hasher:
        stored = await hasher.hash(PASSWORD)
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert await hasher.verify(PASSWORD, stored) == (True, None)
        assert await hasher.verify("something else", stored) == (False, None)


async def test_the_same_password_has_another_hash_each_time(hasher: PasswordHasher) -> None:
    assert await hasher.hash(PASSWORD) != await hasher.hash(PASSWORD)


@pytest.mark.parametrize(
    "password",
    [
        *("pässwörd\U0001f600", "\ud83d half a pair \udc00", "nul \x00 inside", " spaces around ", "        "),
        "\U0001f600" * 128,
    ],
)
async def test_a_password_may_have_any_characters(hasher: PasswordHasher, password: str) -> None:
    stored = await hasher.hash(password)
    assert (await hasher.verify(password, stored)).matches
    assert not (await hasher.verify(password[:-1], stored)).matches


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        *(
            ("p\u00e4ssw\u00f6rd", "pa\u0308sswo\u0308rd"),
            ("\ud55c\uae00 password", "\u1112\u1161\u11ab\u1100\u1173\u11af password"),
        ),
        *(("four words of it", "four\u00a0words\u3000of\u202fit"), ("\u212bngstr\u00f6m", "\u00c5ngstro\u0308m")),
        ("\u1f82" * 128, "\u03b1\u0313\u0300\u0345" * 128),
    ],
)
async def test_a_password_is_the_same_however_its_characters_are_typed(
    hasher: PasswordHasher, chosen: str, typed: str
) -> None:
    for one, other in ((chosen, typed), (typed, chosen)):
        assert (await hasher.verify(other, await hasher.hash(one))).matches


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [("password", "Password"), ("\uff50assword", "password"), ("a  b c d e", "a b c d e"), ("\ufb01rst", "first")],
)
async def test_a_password_is_not_compared_more_loosely_than_that(
    hasher: PasswordHasher, chosen: str, typed: str
) -> None:
    assert not (await hasher.verify(typed, await hasher.hash(chosen))).matches


async def test_the_hash_of_a_password_as_it_was_typed_matches_and_is_renewed(hasher: PasswordHasher) -> None:
    typed = "pa\u0308sswo\u0308rd"
    older = CryptContext(
        ["argon2"], argon2__type="id", argon2__memory_cost=8, argon2__time_cost=1, argon2__parallelism=1
    )
    matches, renewed = await hasher.verify(typed, older.hash(typed))
    assert matches
    assert renewed is not None
    assert await hasher.verify("p\u00e4ssw\u00f6rd", renewed) == (True, None)
    assert not (await hasher.verify("p\u00e4ssw\u00f6rd!", older.hash(typed))).matches


async def test_a_typed_form_costs_an_unknown_user_as_many_hashes_as_a_known_one(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await hasher.hash(PASSWORD)
    spy, other = Spy(monkeypatch, "verify_and_update"), Spy(monkeypatch, "verify")
    await hasher.verify("pa\u0308ssword", stored)
    known = len(spy.calls), len(other.calls)
    await hasher.verify("pa\u0308ssword", None)
    assert (len(spy.calls), len(other.calls)) == (2 * known[0], 2 * known[1]) == (2, 2)


async def test_a_long_password_is_prepared_in_bounded_time(hasher: PasswordHasher) -> None:
    """The time of NFC grows with the square of the length: 16 kB would block the loop for half a second."""
    cut: list[int] = []

    class Long(str):
        def __getitem__(self, key: Any) -> str:
            part = super().__getitem__(key)
            cut.append(len(part))
            return part

    await hasher.verify(Long("a" + "\u0301\u0316" * 8000), None)
    assert cut == [MAX_WRITTEN_CHARS]


async def test_passwords_that_differ_behind_a_nul_are_not_the_same(hasher: PasswordHasher) -> None:
    assert not (await hasher.verify("nul \x00 b", await hasher.hash("nul \x00 a"))).matches


async def test_different_halves_of_pairs_are_different_passwords(hasher: PasswordHasher) -> None:
    stored = await hasher.hash("\ud83d" * 8)
    assert not (await hasher.verify("\ud83e" * 8, stored)).matches
    assert not (await hasher.verify("?" * 8, stored)).matches


async def test_older_hash_is_renewed_by_its_password(hasher: PasswordHasher, make_hasher: MakeHasher) -> None:
    older = make_hasher(memory_kib=16, iterations=2)
    stored = await older.hash(PASSWORD)
    matches, renewed = await hasher.verify(PASSWORD, stored)
    assert matches
    assert renewed is not None
    assert "m=8,t=1,p=1" in renewed
    assert await hasher.verify(PASSWORD, renewed) == (True, None)


async def test_older_hash_stays_for_a_wrong_password(hasher: PasswordHasher, make_hasher: MakeHasher) -> None:
    older = make_hasher(memory_kib=16, iterations=2)
    stored = await older.hash(PASSWORD)
    assert await hasher.verify("something else", stored) == (False, None)


async def test_unknown_address_is_verified_too(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = await hasher.hash(PASSWORD)
    spy = Spy(monkeypatch, "verify_and_update")
    assert await hasher.verify(PASSWORD, stored) == (True, None)
    assert await hasher.verify(PASSWORD, None) == (False, None)
    known, unknown = (call[1] for call in spy.calls)
    assert known.rsplit("$", 2)[0] == unknown.rsplit("$", 2)[0]
    assert len(known) == len(unknown)


async def test_unknown_address_has_no_password(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CryptContext, "verify_and_update", lambda *_: (True, "$renewed$"))
    assert await hasher.verify(PASSWORD, None) == (False, None)


async def test_hashing_threads_yield_to_the_loop(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    hashing, verifying = Spy(monkeypatch, "hash"), Spy(monkeypatch, "verify_and_update")
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await hasher.verify(PASSWORD, await hasher.hash(PASSWORD))
    used = {*hashing.threads, *verifying.threads}
    assert used
    assert threading.get_ident() not in used
    assert {*hashing.niceness, *verifying.niceness} == {HASHING_NICENESS}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


async def test_hashing_works_without_niceness(monkeypatch: pytest.MonkeyPatch, make_hasher: MakeHasher) -> None:
    def forbid(*_: int) -> None:
        raise PermissionError  # what Linux answers to a process that already is nicer

    monkeypatch.setattr(os, "setpriority", forbid)
    hasher = make_hasher()
    assert (await hasher.verify(PASSWORD, await hasher.hash(PASSWORD))).matches


async def test_hashing_threads_are_the_cores(monkeypatch: pytest.MonkeyPatch, make_hasher: MakeHasher) -> None:
    """Each hash waits for all the others: with fewer threads none would end."""
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    hasher = make_hasher()
    meeting = threading.Barrier(3, timeout=30)
    original = CryptContext.hash

    def meet(context: CryptContext, *args: Any) -> str:
        meeting.wait()
        return str(original(context, *args))

    monkeypatch.setattr(CryptContext, "hash", meet)
    assert len(await asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(3)))) == 3


# Tasks that `gather` starts all reach the queue in one tick of the event loop, before any hash is done.
async def test_password_past_bound_is_overloaded_at_once_and_others_are_hashed(make_hasher: MakeHasher) -> None:
    hasher = make_hasher(max_waiting=4, threads=2)
    stored = await hasher.hash(PASSWORD)
    work = [hasher.hash(PASSWORD), hasher.verify(PASSWORD, stored), hasher.verify(PASSWORD, None)]
    outcomes = await asyncio.gather(*work, *(hasher.hash(PASSWORD) for _ in range(3)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(outcome) for outcome in refused] == [Overloaded, Overloaded]
    assert outcomes[4:] == refused
    assert await hasher.hash(PASSWORD)  # and the queue is empty again


@pytest.mark.parametrize(("threads", "waiting", "seconds"), [(1, 1, 1), (1, 20, 2), (1, 60, 4), (3, 60, 2)])
async def test_overloaded_hasher_says_when_to_retry(
    threads: int, waiting: int, seconds: int, make_hasher: MakeHasher
) -> None:
    hasher = make_hasher(max_waiting=waiting, threads=threads)
    work = (hasher.hash(PASSWORD) for _ in range(waiting + 1))
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    (refused,) = (outcome for outcome in outcomes if isinstance(outcome, Overloaded))
    assert refused.retry_after_seconds == seconds


async def test_a_hash_that_fails_no_longer_counts(make_hasher: MakeHasher) -> None:
    one_at_a_time = make_hasher(max_waiting=1)
    with pytest.raises(ValueError, match="hash"):
        await one_at_a_time.verify(PASSWORD, "no hash at all")
    assert await one_at_a_time.hash(PASSWORD)


async def test_closing_drops_hashes_that_wait(monkeypatch: pytest.MonkeyPatch, make_hasher: MakeHasher) -> None:
    hasher = make_hasher(threads=1)
    started, go_on, finished = threading.Event(), threading.Event(), threading.Event()
    original = CryptContext.hash

    def held(context: CryptContext, *args: Any) -> str:
        started.set()
        assert go_on.wait(30)
        hashed = str(original(context, *args))
        finished.set()
        return hashed

    def close() -> bool:
        hasher.close()
        return finished.is_set()

    monkeypatch.setattr(CryptContext, "hash", held)
    running, waiting = asyncio.ensure_future(hasher.hash(PASSWORD)), asyncio.ensure_future(hasher.hash(PASSWORD))
    await asyncio.to_thread(started.wait, 30)
    closing = asyncio.ensure_future(asyncio.to_thread(close))
    try:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, 20)
        assert not running.done()
    finally:
        go_on.set()
    assert await closing, "it did not wait"
    assert (await running).startswith("$argon2id$")
