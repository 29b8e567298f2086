"""Bodies of REST answers, as types: handlers answer with them, and the OpenAPI document is made from them."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from chatio.chat.messages import Author
from chatio.errors import FieldError
from chatio.log.message_log import OFFSET_PATTERN
from chatio.stores.accounts import Role
from chatio.stores.moderation import Action
from chatio.stores.records import Message, SentAt, UserId, UserName

EXAMPLE_OF_A_TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.AbC"  # noqa: S105 - no token

OK: Final = "ok"  # the outcome of a request without an error, for the metrics

Offset = Annotated[
    str,
    msgspec.Meta(
        description="A position in the log; offsets of one log sort as its messages do.",
        examples=["00064c7f2a9b31-000000002a"],
        extra_json_schema={"pattern": OFFSET_PATTERN},
    ),
]


class MessageResponse(msgspec.Struct, frozen=True):
    """A sentence for users."""

    message: Annotated[str, msgspec.Meta(examples=["User registered."])]


class TokenResponse(msgspec.Struct, frozen=True):
    """The answer to a correct password."""

    token: Annotated[
        str,
        msgspec.Meta(
            description="A JSON Web Token, for `Authorization: Bearer` and CONNECT.", examples=[EXAMPLE_OF_A_TOKEN]
        ),
    ]


class UserResponse(msgspec.Struct, frozen=True):
    """The user who is logged in. `id` is the `author_id` of their messages."""

    id: UserId
    name: UserName
    email: Annotated[str, msgspec.Meta(examples=["ann@chat.example"])]
    role: Role


_Ending = Annotated[
    str | None,
    msgspec.Meta(
        description='RFC 3339, UTC; "never" for a ban without end; null where there is none or was none.',
        examples=["2026-03-08T09:32:07.415Z"],
    ),
]


class ModeratedUser(msgspec.Struct, frozen=True):
    """A user, as moderators see them. The times may be over."""

    id: UserId
    name: UserName
    role: Role
    banned_until: _Ending
    muted_until: _Ending


class UserPage(msgspec.Struct, frozen=True):
    """Users, in the order of a key of their names."""

    users: list[ModeratedUser]
    after: Annotated[
        str | None, msgspec.Meta(description="The value of `after` for the next page, or null.", examples=["ann"])
    ]


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An act of a moderator, an owner, or of the operator, whose `actor_id` is empty."""

    at: SentAt
    actor_id: UserId
    actor_name: UserName
    action: Action
    user_id: UserId
    user_name: UserName
    reason: Annotated[str, msgspec.Meta(examples=["Spam."])]
    until: _Ending
    detail: Annotated[str, msgspec.Meta(examples=[""])]


class AuditEntry(AuditRecord, frozen=True, kw_only=True):
    """An act, and its number."""

    number: Annotated[int, msgspec.Meta(examples=[42])]


class AuditPage(msgspec.Struct, frozen=True):
    """Acts, newest first."""

    acts: list[AuditEntry]
    before: Annotated[
        int | None, msgspec.Meta(description="The number to ask for next; null at the end.", examples=[41])
    ]


class AccountData(msgspec.Struct, frozen=True):
    """An account, as its user sees it."""

    id: UserId
    name: UserName
    email: Annotated[str, msgspec.Meta(examples=["ann@chat.example"])]
    role: Role
    banned_until: _Ending
    muted_until: _Ending


class LoggedMessage(Message, frozen=True, kw_only=True):
    """A message, and its position in the log."""

    offset: Offset


class PersonalData(msgspec.Struct, frozen=True):
    """All that the server keeps of a user: the account, acts of moderation that name the user, and messages.

    `addresses`: those that clients have logged in from within 30 days, an IPv6 one by its /64. The hash of the
    password and the ids of ended tokens are not in it.
    """

    user: AccountData
    addresses: Annotated[list[str], msgspec.Meta(examples=[["192.0.2.7"]])]
    audit: list[AuditRecord]
    messages: list[LoggedMessage]


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest last."""

    messages: list[LoggedMessage]
    before: Annotated[
        Offset | None,
        msgspec.Meta(description="The offset to ask for next; null where nothing is older."),
    ]


class OnlinePeople(msgspec.Struct, frozen=True):
    """The users who are connected to the chat: `online` is the number of all, `users` those of one page."""

    online: Annotated[int, msgspec.Meta(examples=[1])]
    users: list[Author]
    after: Annotated[
        str | None, msgspec.Meta(description="The value of `after` for the next page, or null.", examples=[None])
    ]


class ErrorResponse(msgspec.Struct, frozen=True):
    """The body of every error: `message` is for users, `code` is for programs, the same one as over Socket.IO."""

    message: Annotated[str, msgspec.Meta(examples=["Email already used."])]
    code: Annotated[str, msgspec.Meta(examples=["email_already_used"])]


class ValidationErrorResponse(ErrorResponse, frozen=True):
    """Every fault of the request, all at once."""

    errors: Annotated[Sequence[FieldError], msgspec.Meta(extra_json_schema={"minItems": 1})]


class BannedErrorResponse(ErrorResponse, frozen=True):
    """The refusal of a user who is banned; `until` is null for a ban without end."""

    until: SentAt | None


class TemporaryErrorResponse(ErrorResponse, frozen=True):
    """A refusal that passes; `retry_after_seconds` is what the header `Retry-After` says."""

    retry_after_seconds: Annotated[int, msgspec.Meta(ge=1, examples=[30])]


class InternalErrorResponse(ErrorResponse, frozen=True):
    """A defect of the server; its log has the same reference."""

    reference: Annotated[str, msgspec.Meta(examples=["5f0c9a1e7b24"])]
