"""Tokens: the tokens that are issued, and every kind that is refused. Test tokens are forged byte by byte."""

import base64
import hashlib
import hmac
import json
import math
import re
import time
from typing import Any

import jwt
import pytest
from jwt.algorithms import HMACAlgorithm

from chatio.accounts.revocations import Revocations
from chatio.accounts.tokens import MAX_TOKEN_CHARS, Tokens
from chatio.errors import Overloaded, TokenError, TokenExpired, TokenMalformed, TokenRevoked, TokenSignatureInvalid
from tests.unit.clock import Clock

KEY = "the key of these tests, 32 bytes or more"
OTHER_KEY = "another key that is 32 bytes long or more"
THIRD_KEY = "a third key that is 32 bytes long or more"
HS256 = {"alg": "HS256", "typ": "JWT"}
OWN_HEADER = b'{"alg":"HS256","typ":"JWT"}'
HEADERS: dict[str, object] = {"our form": OWN_HEADER, "another form": HS256}
LATER = 2**40
TEN_YEARS = 10 * 365.25 * 86400
HALF_A_PAIR = "half a pair \ud83d"
ODD_CLAIMS: dict[str, list[Any]] = {  # None: the claim is missing
    "sub": [None, 7, ["7"], HALF_A_PAIR],
    "name": [None, 7, {"first": "Ada"}, HALF_A_PAIR],
    "email": [None, True, HALF_A_PAIR],
    "jti": [7],
    "exp": [None, "soon", str(LATER), [], math.inf, math.nan, LATER + 0.5, 2**53 + 1, 10**400],
    "iat": [None, "1", LATER, math.inf, math.nan, 10**400, {}, True],
    "nbf": [LATER, []],
    "aud": ["another service"],
}


def segment(content: object) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(payload: object, header: object = OWN_HEADER, *, key: str = KEY, digest: str = "sha256") -> str:
    signed = f"{segment(header)}.{segment(payload)}"
    signature = hmac.new(key.encode(), signed.encode(), digest).digest()
    return f"{signed}.{segment(signature)}"


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a valid token; a change to None removes the claim."""
    sound = {"id": "7", "sub": "7", "name": "Ada", "email": "ada@chat.test", "iat": 1, "exp": LATER}
    return {name: value for name, value in (sound | changes).items() if value is not None}


def payload_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


@pytest.fixture(params=[(KEY, ""), (KEY, THIRD_KEY), (THIRD_KEY, KEY)], ids=["one key", "current", "previous"])
def tokens(request: pytest.FixtureRequest) -> Tokens:
    """Has the forger's key, alone or beside another key, which must make no difference."""
    key, previous = request.param
    return Tokens(key, previous_key=previous, ttl_seconds=3600)


# --- issuing


def test_an_issued_token_has_the_id_name_and_address_of_its_user(tokens: Tokens) -> None:
    verified = tokens.verify(tokens.issue(subject="7", name="Ada Ü", email="ada@chat.test"))
    assert (verified.subject, verified.name, verified.email) == ("7", "Ada Ü", "ada@chat.test")


def test_an_issued_token_has_the_claims_of_the_contract_and_no_other() -> None:
    issued_at = math.floor(time.time()) - 10 + 0.25
    token = Tokens(KEY, ttl_seconds=60, clock=lambda: issued_at).issue(subject="7", name="Ada", email="a@b.test")
    payload = payload_of(token)
    assert re.fullmatch("[0-9a-f]{14}-[0-9a-f]{16}", payload.pop("jti"))
    assert payload == {
        "id": "7",
        "sub": "7",
        "name": "Ada",
        "email": "a@b.test",
        "iat": round(issued_at, 6),
        "exp": math.floor(issued_at) + 60,
    }
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "==")) == HS256


def test_no_two_tokens_have_the_same_id(tokens: Tokens) -> None:
    issued = [tokens.verify(tokens.issue(subject="7", name="Ada", email="a@b.test")) for _ in range(3)]
    assert len({token.token_id for token in issued}) == 3


def test_the_longest_name_and_address_fit_into_a_token(tokens: Tokens) -> None:
    token = tokens.issue(subject="7" * 36, name="\U0001f600" * 64, email="\U0001f600" * 254)
    assert len(token) <= MAX_TOKEN_CHARS
    assert tokens.verify(token).name == "\U0001f600" * 64


@pytest.mark.parametrize("key", ["", "k" * 31, "ä" * 15])
def test_a_short_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Tokens(key, ttl_seconds=60)
    if key:
        with pytest.raises(ValueError, match="at least 32 bytes"):
            Tokens(KEY, previous_key=key, ttl_seconds=60)


# --- verifying: a forged token is valid, or the tests below would show nothing


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_token_of_another_issuer_with_our_key_is_valid(tokens: Tokens, header: object) -> None:
    verified = tokens.verify(forge(claims(), header))
    assert (verified.subject, verified.issued_at, verified.expires_at, verified.token_id) == ("7", 1, LATER, "")


def test_a_token_past_its_time_is_expired() -> None:
    yesterday = Tokens(KEY, ttl_seconds=60, clock=lambda: time.time() - 86400)
    with pytest.raises(TokenExpired):
        yesterday.verify(yesterday.issue(subject="7", name="Ada", email="a@b.test"))


def with_foreign_segment(place: int) -> str:
    mine = forge(claims()).split(".")
    mine[place] = forge(claims(sub="8"), {"typ": "JWT", "alg": "HS256"}, key=OTHER_KEY).split(".")[place]
    return ".".join(mine)


ODD_ALGORITHMS: list[Any] = ["none", "None", "hs256", "RS256", ["HS256"], {}, 5]
INVALID_SIGNATURES = {
    **{f"another key, {form}": forge(claims(), each, key=OTHER_KEY) for form, each in HEADERS.items()},
    **{
        f"another key, expired, {form}": forge(claims(exp=2), each, key=OTHER_KEY)
        for form, each in HEADERS.items()
    },
    **{f"foreign segment {place}": with_foreign_segment(place) for place in range(3)},
    **{f"algorithm {name}": forge(claims(), {"alg": name}) for name in ODD_ALGORITHMS},
    "algorithm HS512": forge(claims(), {"alg": "HS512"}, digest="sha512"),
    "algorithm HS384": forge(claims(), {"alg": "HS384"}, digest="sha384"),
    "no algorithm": forge(claims(), {"typ": "JWT"}),
    "unsigned, and says so": f"{segment({'alg': 'none'})}.{segment(claims())}.",
    **{f"unsigned, {form}": f"{segment(each)}.{segment(claims())}." for form, each in HEADERS.items()},
}


@pytest.mark.parametrize("token", INVALID_SIGNATURES.values(), ids=INVALID_SIGNATURES)
def test_token_that_our_key_did_not_sign_has_an_invalid_signature(tokens: Tokens, token: str) -> None:
    with pytest.raises(TokenSignatureInvalid):
        tokens.verify(token)


ODD_HEADERS: list[Any] = [[], "HS256", None, b"\xff", b"{", b"[" * 3000]
ODD_HEADERS += [HS256 | odd for odd in ({"kid": 5}, {"crit": ["exp"]}, {"crit": 5}, {"b64": False})]
ODD_PAYLOADS = {
    "array": [],
    "array of claims": [claims()],
    "text": "claims",
    "null": None,
    "number": 7,
    "nothing": b"",
    "half": b"{",
    "no UTF-8": b"\xff\xfe",
    "deep": b"[" * 3000,
    "digits": b'{"exp":' + b"9" * 5000 + b"}",
    "over 200 kB": claims(extra="x" * 150_000),
    **{f"{name} {odd!a:.20}": claims(**{name: odd}) for name, values in ODD_CLAIMS.items() for odd in values},
}
ODD_TEXTS = ["", ".", "..", "...", "a.b.c", "null", "undefined", "\ud800", "\ud800.\udfff.\ud800", "ä.ö.ü"]
ODD_TEXTS += [
    "\x00.\x00.\x00",
    f".{segment(claims())}.",
    f"{segment(HS256)}.{segment(claims())}",
    f"{segment(HS256)}.{segment(claims())}.!",
    f"{forge(claims())}.",
    f"{forge(claims())}.{forge(claims())}",
]
MALFORMED = {
    **{f"header {header!a:.60}": forge(claims(), header) for header in ODD_HEADERS},
    **{
        f"payload {name}, {form}": forge(payload, header)
        for name, payload in ODD_PAYLOADS.items()
        for form, header in HEADERS.items()
    },
    **{f"text {text!a:.20} of {len(text)}": text for text in ODD_TEXTS},
}


@pytest.mark.parametrize("token", MALFORMED.values(), ids=MALFORMED)
def test_token_with_an_odd_header_or_payload_or_form_is_malformed(tokens: Tokens, token: str) -> None:
    with pytest.raises(TokenMalformed):
        tokens.verify(token)


def test_a_token_is_too_long_from_one_character_past_the_cap(tokens: Tokens) -> None:
    start = forge(claims())
    pad = next(n for n in range(6200) if len(forge(claims(extra="x" * n))) > MAX_TOKEN_CHARS)
    assert len(start) < MAX_TOKEN_CHARS
    assert tokens.verify(forge(claims(extra="x" * (pad - 1)))).subject == "7"
    with pytest.raises(TokenMalformed):
        tokens.verify(forge(claims(extra="x" * pad)))


def test_no_failure_carries_the_token(tokens: Tokens) -> None:
    for token in (forge(claims(), key=OTHER_KEY), forge(claims(exp=2)), forge([]), "garbage"):
        with pytest.raises(TokenError) as caught:
            tokens.verify(token)
        assert caught.value.args == ()
        assert caught.value.__suppress_context__


def test_the_key_is_used_as_its_bytes() -> None:
    key = "ein Schlüssel von mehr als 32 Bytes"
    signed = f"{segment(HS256)}.{segment(claims())}"
    signature = hmac.new(key.encode("utf-8"), signed.encode(), hashlib.sha256).digest()
    assert Tokens(key, ttl_seconds=60).verify(f"{signed}.{segment(signature)}").subject == "7"


# --- a key and the one before it


@pytest.fixture
def rotated() -> Tokens:
    return Tokens(KEY, previous_key=OTHER_KEY, ttl_seconds=3600)


def test_tokens_of_both_keys_are_valid_and_none_is_issued_with_the_previous_one(rotated: Tokens) -> None:
    before = issued(Tokens(OTHER_KEY, ttl_seconds=60))
    now = issued(rotated)
    assert rotated.verify(before).subject == rotated.verify(now).subject == "7"
    assert Tokens(KEY, ttl_seconds=60).verify(now).subject == "7"
    with pytest.raises(TokenSignatureInvalid):
        Tokens(OTHER_KEY, ttl_seconds=60).verify(now)
    with pytest.raises(TokenSignatureInvalid):
        Tokens(KEY, ttl_seconds=60).verify(before)


def test_an_expired_token_of_the_previous_key_is_expired(rotated: Tokens) -> None:
    with pytest.raises(TokenExpired):
        rotated.verify(forge(claims(exp=2), key=OTHER_KEY))


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_a_token_of_either_key_is_revoked_alone_or_with_all_of_its_user(rotated: Tokens, key: str) -> None:
    others = [forge(claims(jti="other"), key=each) for each in (KEY, OTHER_KEY)]
    one = forge(claims(jti="one"), key=key)
    rotated.end(rotated.ending(rotated.verify(one)))
    with pytest.raises(TokenRevoked):
        rotated.verify(one)
    for other in others:
        rotated.verify(other)
    rotated.end(rotated.ending_all("7"))
    for other in others:
        with pytest.raises(TokenRevoked):
            rotated.verify(other)


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_token_is_verified_twice_whichever_key_signed_it(
    rotated: Tokens, monkeypatch: pytest.MonkeyPatch, header: object
) -> None:
    """So that the time does not tell which key it was."""
    made: list[bytes] = []
    sign = HMACAlgorithm.sign

    def counted(algorithm: HMACAlgorithm, msg: bytes, key: bytes) -> bytes:
        made.append(key)
        return sign(algorithm, msg, key)

    monkeypatch.setattr(HMACAlgorithm, "sign", counted)
    for key in (KEY, OTHER_KEY):
        made.clear()
        rotated.verify(forge(claims(), header, key=key))
        assert len(made) == 2


# --- PyJWT reads what is not quite as we issue it, and whatever is refused


@pytest.fixture
def _without_pyjwt(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise jwt.InvalidTokenError

    monkeypatch.setattr("jwt.PyJWT.decode", decode)


@pytest.mark.usefixtures("_without_pyjwt")
def test_token_as_we_issue_it_is_read_without_pyjwt(tokens: Tokens) -> None:
    verified = tokens.verify(issued(tokens))
    assert (verified.subject, verified.name, verified.email) == ("7", "Ada", "ada@chat.test")


@pytest.mark.usefixtures("_without_pyjwt")
@pytest.mark.parametrize("odd", [{"nbf": 1}, {"aud": ""}, {"iss": "x"}, {"exp": 2}, {"exp": "2"}, {"id": 7}])
def test_token_with_other_claims_than_ours_is_for_pyjwt(tokens: Tokens, odd: dict[str, Any]) -> None:
    with pytest.raises(TokenMalformed):
        tokens.verify(forge(claims(**odd)))


def test_token_with_one_changed_character_is_refused(tokens: Tokens) -> None:
    token = forge(claims())
    for place, character in enumerate(token):
        for other in {"A", "B", "-", "_", "=", "\n", "é"} - {character}:
            with pytest.raises((TokenSignatureInvalid, TokenMalformed)):
                tokens.verify(token[:place] + other + token[place + 1 :])


# --- revoking


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = time.time()
    return clock


@pytest.fixture
def still(clock: Clock) -> Tokens:
    return Tokens(KEY, ttl_seconds=3600, clock=clock)


def issued(tokens: Tokens, subject: str = "7", **options: Any) -> str:
    return tokens.issue(subject=subject, name="Ada", email="ada@chat.test", **options)


def test_a_revoked_token_is_refused_and_no_other_is(still: Tokens) -> None:
    one, other, of_another = issued(still), issued(still), issued(still, "8")
    still.end(still.ending(still.verify(one)))
    with pytest.raises(TokenRevoked):
        still.verify(one)
    still.verify(other)
    still.verify(of_another)


def test_revoke_all_revokes_the_users_tokens_and_none_that_is_issued_after_it(still: Tokens) -> None:
    before, of_another = issued(still), issued(still, "8")
    still.end(still.ending_all("7"))
    with pytest.raises(TokenRevoked):
        still.verify(before)
    still.verify(issued(still))
    still.verify(of_another)


def test_a_revoked_token_stays_revoked_when_the_clock_is_set_back(still: Tokens, clock: Clock) -> None:
    before = issued(still)
    clock.now -= 3000
    still.end(still.ending_all("7"))
    with pytest.raises(TokenRevoked):
        still.verify(before)
    still.verify(issued(still))


def test_a_login_that_began_before_a_revocation_gets_no_token(still: Tokens) -> None:
    as_of = still.moment()
    still.verify(issued(still, as_of=as_of))
    still.end(still.ending_all("7"))
    with pytest.raises(TokenRevoked):
        issued(still, as_of=as_of)
    still.verify(issued(still, "8", as_of=as_of))
    still.verify(issued(still, as_of=still.moment()))


def test_tokens_after_a_wrong_clock_was_set_right_live_as_long_as_they_should(clock: Clock) -> None:
    now = clock.now = float(int(time.time()))
    tokens = Tokens(KEY, ttl_seconds=3600, clock=clock)
    clock.now += TEN_YEARS
    ahead = issued(tokens)
    clock.now = now
    with pytest.raises(TokenMalformed):  # it would live for ten years
        tokens.verify(ahead)
    claims = tokens.verify(issued(tokens))
    assert (claims.issued_at, claims.expires_at) == (now, now + 3600)
    restarted = Tokens(KEY, ttl_seconds=3600, clock=clock)
    assert restarted.verify(issued(tokens)).expires_at == now + 3600
    tokens.end(tokens.ending_all("7"))
    claims = tokens.verify(issued(tokens))
    assert claims.expires_at == now + 3600


def test_a_token_stays_revoked_whatever_the_clock_says_later(still: Tokens, clock: Clock) -> None:
    right = clock.now
    before = issued(still)
    clock.now -= 3000
    still.end(still.ending_all("7"))
    after = issued(still)
    for now in (right - 86400, right - 3000, right + 1, right + 86400):
        clock.now = now
        with pytest.raises((TokenRevoked, TokenMalformed)):
            still.verify(before)
    clock.now = right - 2000
    still.verify(after)


def test_users_log_in_after_a_restart_although_their_tokens_were_ended_by_a_clock_that_was_ahead(
    clock: Clock,
) -> None:
    now = clock.now = time.time()
    tokens = Tokens(KEY, ttl_seconds=3600, clock=clock)
    clock.now += TEN_YEARS
    ended = tokens.end(tokens.ending_all("7"))
    clock.now = now
    restarted = Tokens(KEY, ttl_seconds=3600, clock=clock)
    restarted.restore([ended])
    restarted.verify(issued(restarted))


@pytest.mark.parametrize("hours", [-5, -0.9, 0.9, 5])
def test_a_token_of_ours_is_valid_when_the_clock_jumps_by_hours(hours: float, clock: Clock) -> None:
    clock.now = time.time()
    tokens = Tokens(KEY, ttl_seconds=86400, clock=clock)
    token = issued(tokens)
    clock.now += 3600 * hours
    tokens.verify(token)


def test_moments_increase_even_when_the_clock_is_set_back(still: Tokens, clock: Clock) -> None:
    moments = [still.moment(), still.moment()]
    clock.now -= 100
    moments += [still.moment(), still.moment()]
    clock.now += 200
    moments.append(still.moment())
    assert moments == sorted(set(moments))
    assert moments[-1] == round(clock.now, 6)


def test_a_token_without_an_id_is_revoked_with_all_of_its_user_that_are_not_younger(still: Tokens) -> None:
    foreign, younger = forge(claims(iat=5)), issued(still)
    older = forge(claims(iat=4, jti="older"))
    still.end(still.ending(still.verify(foreign)))
    for token in (foreign, older):
        with pytest.raises(TokenRevoked):
            still.verify(token)
    still.verify(younger)


def test_a_token_of_a_server_whose_clock_is_ahead_a_little_is_valid(still: Tokens, clock: Clock) -> None:
    assert still.verify(forge(claims(iat=clock.now + 59.5))).issued_at == clock.now + 59.5
    with pytest.raises(TokenMalformed):
        still.verify(forge(claims(iat=clock.now + 61)))


def test_revoke_without_capacity_raises_and_the_token_stays_valid(clock: Clock) -> None:
    full = Tokens(KEY, ttl_seconds=3600, revocations=Revocations(max_entries=1, clock=clock), clock=clock)
    full.end(full.ending_all("8"))
    token = issued(full)
    with pytest.raises(Overloaded):
        full.end(full.ending(full.verify(token)))
    full.verify(token)
    clock.now += 3601
    full.require_capacity("7")


def test_what_was_revoked_is_revoked_again_after_a_restart() -> None:
    before = Tokens(KEY, ttl_seconds=60)
    one, other, third = (before.issue(subject="7", name="Ada", email="a@chat.test") for _ in range(3))
    of_another = before.issue(subject="8", name="Eve", email="e@chat.test")
    ended = [before.end(before.ending(before.verify(one))), before.end(before.ending_all("8"))]
    after = Tokens(KEY, ttl_seconds=60)
    after.restore(ended)
    for revoked in (one, of_another):
        with pytest.raises(TokenRevoked):
            after.verify(revoked)
    for valid in (other, third, after.issue(subject="8", name="Eve", email="e@chat.test")):
        assert after.verify(valid)


def test_a_foreign_token_that_outlives_ours_stays_revoked_over_a_restart(clock: Clock) -> None:
    before = Tokens(KEY, ttl_seconds=60, clock=clock)
    ended = before.ending_all("7")
    clock.now += 61
    after = Tokens(KEY, ttl_seconds=60, clock=clock)
    after.restore([ended])
    for subject in ("7", "8"):
        with pytest.raises(TokenRevoked):
            after.verify(forge(claims(sub=subject, iat=ended.before - 1)))
    after.verify(issued(after))
