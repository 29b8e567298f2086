"""Any text that was not signed with the key raises a `TokenError`, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatio.accounts.tokens import Claims, Tokens
from chatio.errors import TokenError, TokenMalformed
from tests.property.inputs import any_json, any_text, bounded
from tests.unit.accounts.test_tokens import HS256, KEY, OTHER_KEY, claims, forge

TOKENS = Tokens(KEY, ttl_seconds=60)
# Has the same key as its previous one, which must make no difference.
ROTATED = Tokens(OTHER_KEY, previous_key=KEY, ttl_seconds=60)

odd_claims = st.fixed_dictionaries({}, optional=dict.fromkeys([*claims(), "jti", "nbf", "aud", "crit"], any_json))


def verified(token: str) -> Claims | None:
    try:
        found = TOKENS.verify(token)
    except TokenError as error:
        with pytest.raises(type(error)):
            ROTATED.verify(token)
        return None
    assert ROTATED.verify(token) == found
    return found


@bounded
@given(any_text | st.lists(any_text, min_size=3, max_size=3).map(".".join))
def test_any_text_is_malformed(token: str) -> None:
    for tokens in (TOKENS, ROTATED):
        with pytest.raises(TokenMalformed):
            tokens.verify(token)


@bounded
@given(any_json | st.binary(), any_json | st.binary())
def test_any_header_and_payload_are_refused(header: object, payload: object) -> None:
    assert verified(forge(payload, header)) is None


@bounded
@given(
    odd_claims, st.fixed_dictionaries({}, optional=dict.fromkeys(["alg", "typ", "kid", "crit", "b64"], any_json))
)
def test_odd_signed_claims_are_refused_or_unchanged(changes: dict[str, object], header: dict[str, object]) -> None:
    payload = claims() | changes
    sound = verified(forge(payload, HS256 | header))
    if sound is not None:
        assert (sound.subject, sound.name, sound.email) == (payload["sub"], payload["name"], payload["email"])
        assert {type(sound.subject), type(sound.name), type(sound.email)} == {str}
        assert f"{sound.subject}{sound.name}{sound.email}".encode() is not None
