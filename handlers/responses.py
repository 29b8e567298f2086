"""What the REST doors answer, as types: the handlers answer with them, and the document is made from them."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from chatio.chat.message_log import OFFSET_PATTERN
from chatio.chat.messages import Author, Message
from chatio.errors import FieldError

Offset = Annotated[
    str,
    msgspec.Meta(
        description="A place in the log; offsets of one log sort as its messages do.",
        extra_json_schema={"pattern": OFFSET_PATTERN},
    ),
]


class MessageResponse(msgspec.Struct, frozen=True):
    """A sentence for people."""

    message: str


class TokenResponse(msgspec.Struct, frozen=True):
    """What a right password gets."""

    token: Annotated[str, msgspec.Meta(description="A JSON Web Token, for `Authorization: Bearer` and CONNECT.")]


class UserResponse(msgspec.Struct, frozen=True):
    """Who is signed in. `id` is the `author_id` of their messages."""

    id: str
    name: str
    email: str


class LoggedMessage(Message, frozen=True, kw_only=True):
    """A message, and where it stands in the log."""

    offset: Offset


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest last."""

    messages: list[LoggedMessage]
    before: Annotated[
        Offset | None, msgspec.Meta(description="What to ask for next; null where the log has nothing older.")
    ]


class OnlinePeople(msgspec.Struct, frozen=True):
    """Everybody who has a page open, in the order in which they came."""

    online: int
    users: list[Author]


class ErrorResponse(msgspec.Struct, frozen=True):
    """What every failure says; people may read it."""

    message: str


class ValidationErrorResponse(ErrorResponse, frozen=True):
    """Everything that is wrong with what was sent, at once."""

    errors: Annotated[Sequence[FieldError], msgspec.Meta(extra_json_schema={"minItems": 1})]


class InternalErrorResponse(ErrorResponse, frozen=True):
    """A defect of the server; its log has the same reference."""

    reference: str
