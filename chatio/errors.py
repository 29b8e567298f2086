"""Every failure that the server foresees, and the one table of what HTTP and Socket.IO answer to it.

Rules: an answer is always a text of this file, never `str(exc)`. An error that is missing from `ANSWERS` is a
defect; a test walks the subclasses of `ChatioError`. The web page depends on the texts that the wire contract
quotes.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, NamedTuple

import msgspec


class Answer(NamedTuple):
    """The answer to a client: `code` is for programs, `message` for people."""

    status: int  # HTTP
    code: str  # HTTP body; Socket.IO: CONNECT_ERROR data.code, and error.code of acks and rejections
    message: str  # HTTP body
    socket_message: str | None = None  # Socket.IO, where its text differs from the HTTP one


class FieldError(msgspec.Struct, frozen=True):
    """A fault of one field; `body` and `request` stand for the whole of it."""

    field: Annotated[str, msgspec.Meta(examples=["name"])]
    message: Annotated[str, msgspec.Meta(examples=["A name has no control characters."])]


class ChatioError(Exception):
    """The root of all foreseen errors."""


class InvalidInput(ChatioError):
    """A body or query that breaks its rules. `errors` names every faulty field."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__()
        self.errors = errors


class BodyTooLarge(ChatioError):
    """A request body of more bytes than the server reads."""


class ForeignPage(ChatioError):
    """A request of a page of another site, which may not act here in the browser of a user."""


class BodyNotJson(ChatioError):
    """A request body of a media type, character set or coding that the server does not take."""


class RequestTimeout(ChatioError):
    """A request of which the rest did not arrive in time."""


class TargetTooLong(ChatioError):
    """A request whose first line exceeds the limit of a head."""


class HeadTooLarge(ChatioError):
    """A request whose headers exceed the limits of a head, 16 KiB and 100 fields."""


class EmailAlreadyUsed(ChatioError):
    """A registration with the e-mail address of another account."""


class NameTaken(ChatioError):
    """A registration with a name that another account has, or that looks like one."""


class BadCredentials(ChatioError):
    """A wrong password or an unknown e-mail address: the answer does not tell which accounts exist."""


class WrongPassword(ChatioError):
    """A wrong password of a logged-in user. Not 401, at which the web page would log the user out."""


class PasswordReplaced(ChatioError):
    """Another request changed the password between its check and its use."""


class UserUnknown(ChatioError):
    """A valid token of a user who is not in the registry: 401, at which the web page asks the user to log in."""


class RegistrationClosed(ChatioError):
    """A registration where `REGISTRATION` is closed: the operator makes the accounts."""


class ResetCodeInvalid(ChatioError):
    """A one-time code that is wrong, used or over, or an address without one: the answers are the same."""


class RoleRequired(ChatioError):
    """An act that the role of the user does not allow, or that is not allowed against the role of another."""


class UserNotFound(ChatioError):
    """An act on a user who has no account."""


class Banned(ChatioError):
    """A login of a user who is banned until `until`, in seconds since the epoch; infinity: without an end."""

    def __init__(self, *, until: float) -> None:
        super().__init__()
        self.until = until


class TokenError(ChatioError):
    """A token that authenticates no user."""


class MissingToken(TokenError):
    """A request without a token."""


class TokenExpired(TokenError):
    """A token past its `exp`."""


class TokenSignatureInvalid(TokenError):
    """A token that was signed with another key or algorithm."""


class TokenMalformed(TokenError):
    """A text that is no token, or a signed token with claims that no token of ours has."""


class TokenRevoked(TokenError):
    """A valid token that was ended before its `exp`."""


class TokenOfAnother(TokenError):
    """A valid token of another user than the one whose socket it should renew."""


class MessageRejected(ChatioError):
    """A message that is not broadcast. Only its sender is told."""


class MessageInvalid(MessageRejected):
    """A message that is no object, or whose content is no text."""


class MessageEmpty(MessageRejected):
    """A message without a visible character."""


class MessageTooLong(MessageRejected):
    """A message of more than `MESSAGE_MAX_CHARS`."""


class IdReused(MessageRejected):
    """A message under an id whose first message had another text: it is not the same message, sent again."""


class Muted(MessageRejected):
    """A message of a user who may not write until `until`, in seconds since the epoch."""

    def __init__(self, *, until: float) -> None:
        super().__init__()
        self.until = until


class MessageUnknown(MessageRejected):
    """A change of a message that is not in the log, or no more."""


class MessageDeleted(MessageRejected):
    """A change of a message that was deleted, or that message, sent again."""


class NotYourMessage(MessageRejected):
    """A change of the message of another author."""


class ChangeTooLate(MessageRejected):
    """A change of a message by its author, later than `EDIT_SECONDS` after it was sent."""


class EventUnknown(ChatioError):
    """A Socket.IO event that no handler takes."""


class OffsetInvalid(ChatioError):
    """A text that is no offset of this log."""


class Temporary(ChatioError):
    """A refusal that may have passed after `retry_after_seconds`.

    The default is for a database that does not answer, and for a server that is restarted.
    """

    def __init__(self, *, retry_after_seconds: int = 2) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class RateLimited(Temporary):
    """Rate limited: more events than the limit allows."""


class Overloaded(Temporary):
    """The server is overloaded, or a queue or table of it is full."""


class StoreUnavailable(Temporary):
    """The database does not answer. Nothing was changed."""


class StoreFull(Temporary):
    """The disk of the database is full. Nothing was changed."""


class ShuttingDown(Temporary):
    """The process is draining, and another one takes its place."""


class RouteUnknown(ChatioError):
    """A path that is not in the URL table."""


class MethodNotAllowed(ChatioError):
    """A method that the handler of the path does not have."""


class Unforeseen(ChatioError):
    """Stands for an exception that no code foresaw; `reference` is in its line of the log as well."""

    def __init__(self, *, reference: str) -> None:
        super().__init__()
        self.reference = reference


# What checking a token raises.
TOKEN_ERRORS: Final = (MissingToken, TokenExpired, TokenSignatureInvalid, TokenMalformed, TokenRevoked)

# What every write to a store may raise; reading raises the first.
STORE_ERRORS: Final = (StoreUnavailable, StoreFull)

ANSWERS: Mapping[type[ChatioError], Answer] = MappingProxyType(
    {
        InvalidInput: Answer(400, "invalid_input", "Some of what was sent is not valid."),
        BodyTooLarge: Answer(413, "body_too_large", "The request body is too large."),
        ForeignPage: Answer(403, "foreign_page", "Pages of this origin may not use this server."),
        BodyNotJson: Answer(
            415, "body_not_json", "A body is JSON in UTF-8, not compressed: send Content-Type: application/json."
        ),
        RequestTimeout: Answer(408, "request_timeout", "The rest of the request did not arrive in time."),
        TargetTooLong: Answer(414, "uri_too_long", "The address of the request is too long."),
        HeadTooLarge: Answer(
            431,
            "request_header_fields_too_large",
            "The request has more than 16 KiB or more than 100 headers; are there many cookies?",
        ),
        EmailAlreadyUsed: Answer(409, "email_already_used", "Email already used."),
        NameTaken: Answer(
            409, "name_taken", "This name is taken, or looks like one that is. Please choose another."
        ),
        BadCredentials: Answer(404, "bad_credentials", "User not found."),
        WrongPassword: Answer(403, "wrong_password", "This is not your password."),
        PasswordReplaced: Answer(409, "password_replaced", "The password was changed in the meantime."),
        RegistrationClosed: Answer(
            403, "registration_closed", "The operator of this server makes the accounts: ask for one."
        ),
        ResetCodeInvalid: Answer(403, "reset_code_invalid", "This code is wrong, used or over."),
        RoleRequired: Answer(403, "role_required", "Your role does not allow this."),
        UserNotFound: Answer(404, "user_not_found", "There is no such user."),
        Banned: Answer(403, "banned", "This account is banned."),
        UserUnknown: Answer(401, "user_unknown", "Token invalid"),
        MissingToken: Answer(401, "missing_token", "Missing Token", "Missing token"),
        TokenExpired: Answer(401, "token_expired", "Token invalid", "jwt expired"),
        TokenSignatureInvalid: Answer(401, "invalid_signature", "Token invalid", "invalid signature"),
        TokenMalformed: Answer(401, "malformed_token", "Token invalid", "jwt malformed"),
        TokenRevoked: Answer(401, "token_revoked", "Token invalid", "jwt revoked"),
        TokenOfAnother: Answer(401, "token_of_another", "Token invalid", "jwt of another person"),
        MessageInvalid: Answer(400, "invalid_message", "A message is an object whose content is text."),
        MessageEmpty: Answer(400, "empty_message", "A message without content is not sent."),
        MessageTooLong: Answer(400, "message_too_long", "The message is too long."),
        IdReused: Answer(409, "id_reused", "Another message has this id already."),
        Muted: Answer(403, "muted", "A moderator has muted you: you may read, and not write."),
        MessageUnknown: Answer(404, "message_unknown", "There is no such message."),
        MessageDeleted: Answer(410, "message_deleted", "This message was deleted."),
        NotYourMessage: Answer(403, "not_your_message", "This is the message of another user."),
        ChangeTooLate: Answer(403, "change_too_late", "It is too late to change this message."),
        EventUnknown: Answer(400, "unknown_event", "This server knows no such event."),
        OffsetInvalid: Answer(400, "invalid_offset", "This is not an offset of this log."),
        RateLimited: Answer(429, "rate_limited", "That was too often. Please try again in a while."),
        Overloaded: Answer(503, "overloaded", "The server is busy. Please try again in a moment."),
        StoreUnavailable: Answer(
            503, "store_unavailable", "The server cannot save anything now. Please try again in a moment."
        ),
        StoreFull: Answer(
            503, "store_full", "The server has no room to save anything. Please try again in a while."
        ),
        ShuttingDown: Answer(503, "shutting_down", "The server is restarting. Please try again in a moment."),
        RouteUnknown: Answer(404, "not_found", "There is nothing at this address."),
        MethodNotAllowed: Answer(405, "method_not_allowed", "This address does not take that method."),
        Unforeseen: Answer(500, "internal_error", "Internal server error"),
    }
)


def codes(*kinds: type[ChatioError]) -> list[str]:
    """The codes of `kinds` and their subclasses, in the order of the table."""
    return [answer.code for kind, answer in ANSWERS.items() if issubclass(kind, kinds)]


def answer_to(error: ChatioError) -> Answer:
    """The row of the table for the class of `error`, or for its nearest base class.

    Raises LookupError if there is none.
    """
    for kind in type(error).__mro__:
        if answer := ANSWERS.get(kind):
            return answer
    raise LookupError(f"{type(error).__name__} is not in the table of answers")
