"""What a message is: from what a client sent, untrusted, to what everybody receives.

Types are checked because `content`, `author_name` or `timestamp` that is no string blanks every open page.
"""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from chatio.errors import MessageEmpty, MessageInvalid, MessageTooLong

MAX_ID_CHARS: Final = 64
MAX_TIMESTAMP_CHARS: Final = 64


# Ours, not the sender's.
SentAt = Annotated[
    str, msgspec.Meta(description="RFC 3339, UTC, milliseconds.", extra_json_schema={"format": "date-time"})
]


class Author(msgspec.Struct, frozen=True):
    """Who speaks, by the token: the client's own claim is never passed on."""

    id: str
    name: str


class Draft(msgspec.Struct, frozen=True):
    """What a client sends; only `content` it must. Whatever else it sends with it is left alone.

    For the document: `stamp` checks, and is more lenient with the two that it can make itself.
    """

    content: Annotated[
        str, msgspec.Meta(description="Something visible.", extra_json_schema={"minLength": 1, "pattern": r"\S"})
    ]
    id: (
        Annotated[
            str,
            msgspec.Meta(
                description="The client's own, so that sent again the message arrives once.",
                extra_json_schema={"minLength": 1, "maxLength": MAX_ID_CHARS},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    timestamp: (
        Annotated[
            str,
            msgspec.Meta(
                description="The sender's own clock, for people to read.",
                extra_json_schema={"maxLength": MAX_TIMESTAMP_CHARS},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class Message(msgspec.Struct, frozen=True):
    """What everybody receives; nothing else is passed on."""

    id: str
    content: str
    author_id: str
    author_name: str
    timestamp: str  # the sender's own clock, for people to read
    sent_at: SentAt
    status: Literal["sent"] = "sent"


def stamp(raw: object, author: Author, *, max_chars: int, now: datetime | None = None) -> Message:
    """The message that `raw`, anything a client may send, becomes when `author` sends it.

    `max_chars` counts Unicode code points. Raises `MessageInvalid`, `MessageEmpty`, `MessageTooLong`.
    """
    if not isinstance(raw, dict):
        raise MessageInvalid
    content = raw.get("content")
    if not isinstance(content, str):
        raise MessageInvalid
    if not content.strip():
        raise MessageEmpty
    if len(content) > max_chars:
        raise MessageTooLong
    now = now or datetime.now(UTC)
    timestamp = raw.get("timestamp")
    if not isinstance(timestamp, str) or len(timestamp) > MAX_TIMESTAMP_CHARS:
        timestamp = f"{now:%H:%M}"
    return Message(
        id=fit_id(raw) or new_id(),
        content=content,
        author_id=author.id,
        author_name=author.name,
        timestamp=timestamp,
        sent_at=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def fit_id(raw: object) -> str | None:
    """The id that the client gave its message, if it is one: 1 to 64 characters, all of them printable."""
    candidate = raw.get("id") if isinstance(raw, dict) else None
    if not isinstance(candidate, str) or not 1 <= len(candidate) <= MAX_ID_CHARS:
        return None
    return candidate if candidate.isprintable() else None


def new_id() -> str:
    return str(uuid.uuid4())
