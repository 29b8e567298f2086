"""Every failure the server foresees, and the one table of what each door answers to it.

    ChatioError
    ├── InvalidInput          a body or a field that cannot be taken; carries the fields
    ├── BodyTooLarge          more bytes than the door takes
    ├── EmailAlreadyUsed
    ├── BadCredentials        wrong password and unknown address alike: nobody learns who has an account
    ├── WrongPassword         of somebody who is signed in; no 401, for which the page would sign out
    ├── PasswordReplaced      between being checked and being used
    ├── UserUnknown           a sound token of somebody who is not in the registry
    ├── TokenError
    │   ├── MissingToken
    │   ├── TokenExpired
    │   ├── TokenSignatureInvalid
    │   ├── TokenMalformed
    │   ├── TokenRevoked      sound, and ended before its time
    │   └── TokenOfAnother    sound, and not of the person whose socket it should renew
    ├── MessageRejected
    │   ├── MessageInvalid
    │   ├── MessageEmpty
    │   └── MessageTooLong
    ├── OffsetInvalid         text that is not an offset of this log
    ├── Temporary             carries when to come back
    │   ├── RateLimited       too often
    │   ├── Overloaded        too much waits already
    │   └── ShuttingDown      this process is about to end, and another takes its place
    ├── RouteUnknown
    ├── MethodNotAllowed
    └── Unforeseen            anything else: a fixed text, and a reference that the log also bears

Rules: an answer is always a text of this file, never `str(exc)`. A failure that is not in `ANSWERS` is a
defect; a test walks the subclasses. The texts in quotes of the wire contract are what the page depends on.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec


class Answer(NamedTuple):
    """What a client is told. `code` is for programs, `message` for people."""

    status: int  # HTTP
    code: str  # Socket.IO: CONNECT_ERROR data.code, and error.code of acks and rejections
    message: str  # HTTP body
    socket_message: str | None = None  # Socket.IO, where its text differs from the HTTP one


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; `body` and `request` stand for the whole of it."""

    field: str
    message: str


class ChatioError(Exception):
    """Root of everything foreseen."""


class InvalidInput(ChatioError):
    """`errors` names every field that is wrong, all at once."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__()
        self.errors = errors


class BodyTooLarge(ChatioError):
    pass


class EmailAlreadyUsed(ChatioError):
    pass


class BadCredentials(ChatioError):
    pass


class WrongPassword(ChatioError):
    pass


class PasswordReplaced(ChatioError):
    pass


class UserUnknown(ChatioError):
    pass


class TokenError(ChatioError):
    """A token that does not sign anybody in."""


class MissingToken(TokenError):
    pass


class TokenExpired(TokenError):
    pass


class TokenSignatureInvalid(TokenError):
    pass


class TokenMalformed(TokenError):
    pass


class TokenRevoked(TokenError):
    pass


class TokenOfAnother(TokenError):
    pass


class MessageRejected(ChatioError):
    """A message that is not broadcast. The sender is told; nobody else notices."""


class MessageInvalid(MessageRejected):
    pass


class MessageEmpty(MessageRejected):
    pass


class MessageTooLong(MessageRejected):
    pass


class OffsetInvalid(ChatioError):
    pass


class Temporary(ChatioError):
    """Refused now, and perhaps not after `retry_after_seconds`."""

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class RateLimited(Temporary):
    pass


class Overloaded(Temporary):
    pass


class ShuttingDown(Temporary):
    pass


class RouteUnknown(ChatioError):
    pass


class MethodNotAllowed(ChatioError):
    pass


class Unforeseen(ChatioError):
    """Stands for an exception that nobody foresaw; `reference` finds its line in the log."""

    def __init__(self, *, reference: str) -> None:
        super().__init__()
        self.reference = reference


ANSWERS: Mapping[type[ChatioError], Answer] = MappingProxyType(
    {
        InvalidInput: Answer(400, "invalid_input", "Some of what was sent is not valid."),
        BodyTooLarge: Answer(413, "body_too_large", "The request body is too large."),
        EmailAlreadyUsed: Answer(409, "email_already_used", "Email already used."),
        BadCredentials: Answer(404, "bad_credentials", "User not found."),
        WrongPassword: Answer(403, "wrong_password", "This is not your password."),
        PasswordReplaced: Answer(409, "password_replaced", "The password was changed in the meantime."),
        UserUnknown: Answer(404, "user_unknown", "There is no data."),
        MissingToken: Answer(401, "missing_token", "Missing Token", "Missing token"),
        TokenExpired: Answer(401, "token_expired", "Token invalid", "jwt expired"),
        TokenSignatureInvalid: Answer(401, "invalid_signature", "Token invalid", "invalid signature"),
        TokenMalformed: Answer(401, "malformed_token", "Token invalid", "jwt malformed"),
        TokenRevoked: Answer(401, "token_revoked", "Token invalid", "jwt revoked"),
        TokenOfAnother: Answer(401, "token_of_another", "Token invalid", "jwt of another person"),
        MessageInvalid: Answer(400, "invalid_message", "A message is an object whose content is text."),
        MessageEmpty: Answer(400, "empty_message", "A message without content is not sent."),
        MessageTooLong: Answer(400, "message_too_long", "The message is too long."),
        OffsetInvalid: Answer(400, "invalid_offset", "This is not an offset of this log."),
        RateLimited: Answer(429, "rate_limited", "That was too often. Please try again in a while."),
        Overloaded: Answer(503, "overloaded", "The server is busy. Please try again in a moment."),
        ShuttingDown: Answer(503, "shutting_down", "The server is restarting. Please try again in a moment."),
        RouteUnknown: Answer(404, "not_found", "There is nothing at this address."),
        MethodNotAllowed: Answer(405, "method_not_allowed", "This address does not take that method."),
        Unforeseen: Answer(500, "internal_error", "Internal server error"),
    }
)


def codes(*kinds: type[ChatioError]) -> list[str]:
    """The codes that answers to errors of `kinds` have, in the order of the table."""
    return [answer.code for kind, answer in ANSWERS.items() if issubclass(kind, kinds)]


def answer_to(error: ChatioError) -> Answer:
    """The row of the table for `error`: its own, or that of the nearest class above it."""
    for kind in type(error).__mro__:
        if answer := ANSWERS.get(kind):
            return answer
    raise LookupError(f"{type(error).__name__} is not in the table of answers")
