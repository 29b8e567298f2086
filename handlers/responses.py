"""Bodies of REST answers, as types: handlers answer with them, and the OpenAPI document is made from them."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from chatio.chat.message_log import OFFSET_PATTERN
from chatio.chat.messages import Author, Message
from chatio.errors import FieldError
from chatio.stores.base import UserId, UserName

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


class LoggedMessage(Message, frozen=True, kw_only=True):
    """A message, and its position in the log."""

    offset: Offset


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest last."""

    messages: list[LoggedMessage]
    before: Annotated[
        Offset | None,
        msgspec.Meta(description="The offset to ask for next; null where nothing is older."),
    ]


class OnlinePeople(msgspec.Struct, frozen=True):
    """The users who are connected to the chat, in the order in which they connected."""

    online: Annotated[int, msgspec.Meta(examples=[1])]
    users: list[Author]


class ErrorResponse(msgspec.Struct, frozen=True):
    """The body of every error: `message` is for users, `code` is for programs, the same one as over Socket.IO."""

    message: Annotated[str, msgspec.Meta(examples=["Email already used."])]
    code: Annotated[str, msgspec.Meta(examples=["email_already_used"])]


class ValidationErrorResponse(ErrorResponse, frozen=True):
    """Every fault of the request, all at once."""

    errors: Annotated[Sequence[FieldError], msgspec.Meta(extra_json_schema={"minItems": 1})]


class TemporaryErrorResponse(ErrorResponse, frozen=True):
    """A refusal that passes; `retry_after_seconds` is what the header `Retry-After` says."""

    retry_after_seconds: Annotated[int, msgspec.Meta(ge=1, examples=[30])]


class InternalErrorResponse(ErrorResponse, frozen=True):
    """A defect of the server; its log has the same reference."""

    reference: Annotated[str, msgspec.Meta(examples=["5f0c9a1e7b24"])]
