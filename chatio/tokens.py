"""Issue and verify the JSON Web Tokens that say who somebody is.

HS256 and nothing else (RFC 8725, 3.1: the verifier names the algorithm, not the token). What is checked is
checked before anything is believed: length, shape, signature, times, types.
"""

import time
import uuid
from collections.abc import Callable

import jwt
import msgspec

from chatio.errors import TokenExpired, TokenMalformed, TokenSignatureInvalid

ALGORITHM = "HS256"
# A name of 64 and an address of 254 characters, each escaped as \uXXXX twice over, make about 3.6 kB.
MAX_TOKEN_CHARS = 8192
MIN_KEY_BYTES = 32  # RFC 7518, 3.2: a key of the hash's size or larger


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says. Times are seconds since the epoch."""

    subject: str = msgspec.field(name="sub")
    name: str
    email: str
    issued_at: int = msgspec.field(name="iat")
    expires_at: int = msgspec.field(name="exp")
    token_id: str = msgspec.field(name="jti", default="")


class Tokens:
    """Issues and verifies with one key of at least 32 bytes. Any thread."""

    def __init__(self, key: str, *, ttl_seconds: int, clock: Callable[[], float] = time.time) -> None:
        if len(key.encode()) < MIN_KEY_BYTES:
            raise ValueError(f"the key must have at least {MIN_KEY_BYTES} bytes")
        self._key = key
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._jwt = jwt.PyJWT(
            options={"enforce_minimum_key_length": True, "require": ["exp", "iat", "sub"]},
        )

    def issue(self, *, subject: str, name: str, email: str) -> str:
        """A token for who has the id `subject`."""
        issued_at = int(self._clock())
        claims = {
            "id": subject,
            "name": name,
            "email": email,
            "sub": subject,
            "iat": issued_at,
            "exp": issued_at + self._ttl_seconds,
            "jti": uuid.uuid4().hex,
        }
        return self._jwt.encode(claims, self._key, ALGORITHM)

    def verify(self, token: str) -> Claims:
        """Raises `TokenExpired`, `TokenSignatureInvalid` or `TokenMalformed`; no input raises anything else."""
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise TokenMalformed
        try:
            payload = self._jwt.decode(token, self._key, [ALGORITHM])
            claims = msgspec.convert(payload, Claims)
            f"{claims.subject}{claims.name}{claims.email}".encode()  # halves of surrogate pairs are no text
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            raise TokenSignatureInvalid from None
        except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError, RecursionError):
            raise TokenMalformed from None
        return claims
