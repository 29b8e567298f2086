"""Issue and verify the JSON Web Tokens that say who somebody is.

HS256 and nothing else (RFC 8725, 3.1: the verifier names the algorithm, not the token). What is checked is
checked before anything is believed: length, shape, signature, times, types, and whether it was ended early.
"""

import time
import uuid
from collections.abc import Callable

import jwt
import msgspec
from jwt.utils import base64url_decode

from chatio.accounts.revocations import Revocations
from chatio.errors import TokenExpired, TokenMalformed, TokenRevoked, TokenSignatureInvalid

ALGORITHM = "HS256"
# A name of 64 and an address of 254 characters, each escaped as \uXXXX twice over, make about 3.6 kB.
MAX_TOKEN_CHARS = 8192
MIN_KEY_BYTES = 32  # RFC 7518, 3.2: a key of the hash's size or larger
# Moments differ by this at least, and are told apart as floating point until the year 2242.
_GRAIN_SECONDS = 1e-6
# How far the clock of another server that issues with our key may be ahead.
CLOCK_SKEW_SECONDS = 60


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says. Times are seconds since the epoch; `iat` may have a fraction (RFC 7519, 2).

    Other issuers with our key may leave out `jti`: such a token can be ended with all of its person's only.
    """

    subject: str = msgspec.field(name="sub")
    name: str
    email: str
    issued_at: float = msgspec.field(name="iat")
    expires_at: int = msgspec.field(name="exp")
    token_id: str = msgspec.field(name="jti", default="")


class Tokens:
    """Issues, verifies and ends tokens, with one key of at least 32 bytes. Event loop only.

    While a key is being replaced, the tokens of the one before it are as good as those of the new one.
    """

    def __init__(
        self,
        key: str,
        *,
        previous_key: str = "",
        ttl_seconds: int,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`previous_key`: verifies too, and signs nothing; of the same length at least, "" for none.

        `revocations`: what has been ended; nothing yet if not given.
        """
        if any(len(each.encode()) < MIN_KEY_BYTES for each in (key, previous_key or key)):
            raise ValueError(f"a key must have at least {MIN_KEY_BYTES} bytes")
        self._key = key
        self._previous_key = previous_key
        self._signatures = jwt.PyJWS().get_algorithm_by_name(ALGORITHM)
        self._ttl_seconds = ttl_seconds
        self._revocations = Revocations(clock=clock) if revocations is None else revocations
        self._clock = clock
        self._last_moment = 0.0
        self._jwt = jwt.PyJWT(
            # `iat` is ours to check: by a clock that is never set back.
            options={"enforce_minimum_key_length": True, "require": ["exp", "iat", "sub"], "verify_iat": False},
        )

    def moment(self) -> float:
        """Now, and later than every moment before: what was first stays first when the clock is set back."""
        self._last_moment = round(max(self._clock(), self._last_moment + _GRAIN_SECONDS), 6)
        return self._last_moment

    def issue(self, *, subject: str, name: str, email: str, as_of: float | None = None) -> str:
        """A token for who has the id `subject`.

        `as_of` (now, if not given) is its `iat`: the moment before the password was looked up that earned it.
        Raises `TokenRevoked` when all of this person's tokens up to then have been ended since: a log-in that was
        under way while the password was changed gives nothing.
        """
        issued_at = self.moment() if as_of is None else as_of
        token_id = uuid.uuid4().hex
        if self._revocations.is_revoked(subject, token_id, issued_at):
            raise TokenRevoked
        claims = {
            "id": subject,
            "name": name,
            "email": email,
            "sub": subject,
            "iat": issued_at,
            "exp": int(issued_at) + self._ttl_seconds,
            "jti": token_id,
        }
        return self._jwt.encode(claims, self._key, ALGORITHM)

    def verify(self, token: str) -> Claims:
        """What `token` says.

        Raises `TokenExpired`, `TokenSignatureInvalid`, `TokenRevoked` or `TokenMalformed`, and for no input
        anything else.
        """
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise TokenMalformed
        try:
            payload = self._jwt.decode(token, self._key_of(token), [ALGORITHM])
            claims = msgspec.convert(payload, Claims)
            f"{claims.subject}{claims.name}{claims.email}".encode()  # halves of surrogate pairs are no text
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            raise TokenSignatureInvalid from None
        except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError, OverflowError, RecursionError):
            raise TokenMalformed from None
        latest = max(self._clock(), self._last_moment) + CLOCK_SKEW_SECONDS
        if not claims.issued_at <= latest:  # written so that NaN is refused too
            raise TokenMalformed
        if self.is_revoked(claims.subject, claims.token_id, claims.issued_at):
            raise TokenRevoked
        return claims

    def is_revoked(self, subject: str, token_id: str, issued_at: float) -> bool:
        """Whether a token that was sound has been ended since."""
        return self._revocations.is_revoked(subject, token_id, issued_at)

    def require_room(self, subject: str) -> None:
        """Raises `Overloaded` when no token of `subject` can be ended now: to be asked first."""
        self._revocations.require_room(subject)

    def revoke(self, claims: Claims) -> None:
        """End this one token; without a `jti`, all of its person that are not younger. Raises `Overloaded`."""
        self.require_room(claims.subject)
        self._revocations.revoke(
            claims.subject,
            claims.token_id,
            issued_at=claims.issued_at,
            expires_at=claims.expires_at,
            until=self._last_end(),
        )

    def revoke_all(self, subject: str) -> None:
        """End every token that `subject` has by now; who logs in from here on gets one that lives."""
        self._revocations.revoke_all(subject, before=self.moment(), until=self._last_end())

    def _key_of(self, token: str) -> str:
        """The key to hold `token` against. It is only chosen here: that it did sign it, `decode` finds out.

        Tokens name no key (`kid`, RFC 7515, 4.1.4): those that other issuers have made with ours would not either.
        Whichever key it was, there is one look by the previous one and one by the chosen one, so that neither the
        time nor the error tells. Raises ValueError for a signature that is no base64url.
        """
        if not self._previous_key:
            return self._key
        signed, _, signature = token.rpartition(".")
        given = base64url_decode(signature)
        is_previous = self._signatures.verify(signed.encode(), self._previous_key.encode(), given)
        return self._previous_key if is_previous else self._key

    def _last_end(self) -> float:
        """When all that is issued by now has ended."""
        return max(self._clock(), self._last_moment) + self._ttl_seconds
