"""One-time codes: typed in any way, of one user, and over after an hour."""

import time

import msgspec
import pytest

from chatio.accounts import reset_codes
from chatio.accounts.reset_codes import digest_of, is_code_of, new_code
from tests.contract.user_store import ADA


def test_codes_differ_and_have_100_random_bits() -> None:
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100
    assert {len(code.replace("-", "")) for code in codes} == {20}


@pytest.mark.parametrize(
    "typed", ["ABCD-0123", "abcd0123", " abcd 0123\n", "AbCd_o1 23", "ABCDO I23", "abcd-ol23"]
)
def test_a_code_may_be_typed_in_any_way(typed: str) -> None:
    assert digest_of(typed) == digest_of("ABCD-0123")


@pytest.mark.parametrize("code", ["", "ABCD-0124", "ABCD-01234", "\udc00", "x" * 10_000])
def test_another_code_is_another(code: str) -> None:
    user = msgspec.structs.replace(ADA, reset_hash=digest_of("ABCD-0123"), reset_until=time.time() + 60)
    assert is_code_of(user, "ABCD-0123")
    assert not is_code_of(user, code)


@pytest.mark.parametrize("code", ["", "-", "ABCD-0123"])
def test_a_user_without_a_code_has_none(code: str) -> None:
    assert not is_code_of(msgspec.structs.replace(ADA, reset_until=time.time() + 60), code)


def test_a_code_is_over_at_its_end() -> None:
    user = msgspec.structs.replace(ADA, reset_hash=digest_of("ABCD-0123"), reset_until=time.time())
    assert not is_code_of(user, "ABCD-0123")
    assert reset_codes.SECONDS == 3600
