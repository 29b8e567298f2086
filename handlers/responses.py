"""Bodies of REST answers, as types: handlers answer with them, and the OpenAPI document is made from them."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from chatio.chat.message_log import OFFSET_PATTERN
from chatio.chat.messages import Author, Message
from chatio.errors import FieldError

OK: Final = "ok"  # the outcome of a request without an error, for the metrics

Offset = Annotated[
    str,
    msgspec.Meta(
        description="A position in the log; offsets of one log sort as its messages do.",
        extra_json_schema={"pattern": OFFSET_PATTERN},
    ),
]


class MessageResponse(msgspec.Struct, frozen=True):
    """A sentence for users."""

    message: str


class TokenResponse(msgspec.Struct, frozen=True):
    """The answer to a correct password."""

    token: Annotated[str, msgspec.Meta(description="A JSON Web Token, for `Authorization: Bearer` and CONNECT.")]


class UserResponse(msgspec.Struct, frozen=True):
    """The user who is logged in. `id` is the `author_id` of their messages."""

    id: str
    name: str
    email: str


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

    online: int
    users: list[Author]


class ErrorResponse(msgspec.Struct, frozen=True):
    """The body of every error; users may read it."""

    message: str


class ValidationErrorResponse(ErrorResponse, frozen=True):
    """Every fault of the request, all at once."""

    errors: Annotated[Sequence[FieldError], msgspec.Meta(extra_json_schema={"minItems": 1})]


class TemporaryErrorResponse(ErrorResponse, frozen=True):
    """A refusal that passes; `retry_after_seconds` is what the header `Retry-After` says."""

    retry_after_seconds: Annotated[int, msgspec.Meta(ge=1)]


class InternalErrorResponse(ErrorResponse, frozen=True):
    """A defect of the server; its log has the same reference."""

    reference: str
