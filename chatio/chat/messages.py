"""Messages: from what a client sends, which is untrusted, to what all clients receive.

Types are checked because a `content`, `author_name` or `timestamp` that is no text blanks every open page.
"""

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from chatio.errors import MessageEmpty, MessageInvalid, MessageTooLong
from chatio.stores.records import Message, SentAt, UserId, UserName, derived_id
from chatio.text import BLANK, CONTROLS, DEFAULT_IGNORABLE, VISIBLE, well_formed

MAX_ID_CHARS: Final = 64
MAX_TIMESTAMP_CHARS: Final = 64

# The rules of a draft's fields: this module checks them, and the chat's document shows them.
_CONTENT: Final = Meta(
    min_length=1, pattern=r"\S", description="Text with at least one visible character.", examples=["Hello!"]
)
_ID: Final = Meta(
    min_length=1,
    max_length=MAX_ID_CHARS,
    description="The client's own id of the message, so that a message that is sent again arrives once. For a "
    "longer text, a number or anything else the server puts an id of its own, the same one each time.",
    examples=["c4a1d7e2-93b5-4f0e-8d21-5e6f7a8b9c0d"],
)
_ID_OF_MESSAGE: Final = Meta(
    min_length=1,
    max_length=MAX_ID_CHARS,
    description="As the ack of the message and `receive-message` have it.",
    examples=["c4a1d7e2-93b5-4f0e-8d21-5e6f7a8b9c0d"],
)
_TIMESTAMP: Final = Meta(
    max_length=MAX_TIMESTAMP_CHARS,
    description="The time of the sender's clock, for people to read. The server puts its own time for one that "
    "cannot be shown.",
    examples=["10:32 AM"],
)


# What breaks the line, turns the text around or is not drawn; but not the marks of direction that browsers write.
_NOT_IN_TIMESTAMPS: Final = re.compile(
    f"(?![\u061c\u200e\u200f])[{CONTROLS}{DEFAULT_IGNORABLE}{BLANK}\ufffe\uffff]"
)


class Author(msgspec.Struct, frozen=True):
    """The user who sent a message, by the token; the client's own claim is never passed on."""

    id: UserId
    name: UserName


class Edit(msgspec.Struct, frozen=True):
    """What a client sends to give a message of its user another text."""

    id: Annotated[str, _ID_OF_MESSAGE]
    content: Annotated[str, _CONTENT]


class Deletion(msgspec.Struct, frozen=True):
    """What a client sends to delete a message of its user."""

    id: Annotated[str, _ID_OF_MESSAGE]


class Draft(msgspec.Struct, frozen=True):
    """What a client sends: `content`, and perhaps the other fields. The server ignores any further ones.

    An `id` or `timestamp` that breaks its rule is replaced, and no error (see `kept_id`).
    """

    content: Annotated[str, _CONTENT]
    id: Annotated[str, _ID] | msgspec.UnsetType = msgspec.UNSET
    timestamp: Annotated[str, _TIMESTAMP] | msgspec.UnsetType = msgspec.UNSET


def stamp(raw: object, author: Author, *, max_chars: int, now: datetime | None = None) -> Message:
    """The message that `author` sends with `raw`, which is anything that a client may send.

    `max_chars` counts Unicode code points. Raises `MessageInvalid`, `MessageEmpty`, `MessageTooLong`.
    """
    content = checked_content(raw, max_chars=max_chars)
    now = now or datetime.now(UTC)
    timestamp = raw.get("timestamp") if isinstance(raw, dict) else None
    return Message(
        id=kept_id(raw, author.id) or new_id(),
        content=content,
        author_id=author.id,
        author_name=author.name,
        timestamp=_shown(timestamp) or f"{now:%H:%M}",
        sent_at=time_text(now),
    )


def checked_content(raw: object, *, max_chars: int) -> str:
    """The text that a client sends with `raw`, as a message has it.

    Raises `MessageInvalid`, `MessageEmpty`, `MessageTooLong`.
    """
    content = raw.get("content") if isinstance(raw, dict) else None
    if not isinstance(content, str):
        raise MessageInvalid
    if not VISIBLE.search(content):
        raise MessageEmpty
    if len(content) > max_chars:
        raise MessageTooLong
    return _storable(content)


def time_text(time: datetime) -> SentAt:
    """The server's time, in UTC, as messages have it."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def content_of(raw: object) -> object:
    """The text of a draft as a message has it, or whatever stands in its place."""
    content = raw.get("content") if isinstance(raw, dict) else None
    return _storable(content) if isinstance(content, str) else content


def _storable(text: str) -> str:
    """`text` with U+FFFD for what UTF-8 cannot encode, halves of pairs, and for NUL, which no database keeps."""
    return (text if text.isascii() else well_formed(text)).replace("\0", "\ufffd")


def _shown(timestamp: object) -> str | None:
    """The sender's time as the page shows it, or None."""
    if not isinstance(timestamp, str) or len(timestamp) > MAX_TIMESTAMP_CHARS or not VISIBLE.search(timestamp):
        return None
    if timestamp.isascii() and timestamp.isprintable():  # as most are
        return timestamp
    timestamp = well_formed(timestamp)
    return None if _NOT_IN_TIMESTAMPS.search(timestamp) else timestamp


def kept_id(raw: object, author_id: str) -> str | None:
    """The id that the author's draft is kept under: its own if that is fit, else one of ours; None without an id.

    The same unfit id of the same author makes the same id each time, so that the message is known when it is sent
    again.
    """
    if (fit := fit_id(raw)) is not None:
        return fit
    sent = raw.get("id") if isinstance(raw, dict) else None
    if sent is None or sent == "":
        return None
    return derived_id(author_id, "\n" + json.dumps(sent, default=repr))  # no fit id begins with a new line


def fit_id(raw: object) -> str | None:
    """The `id` of a draft, if it keeps its rule and all its characters are printable; else None."""
    candidate = raw.get("id") if isinstance(raw, dict) else None
    is_fit = isinstance(candidate, str) and 0 < len(candidate) <= MAX_ID_CHARS and candidate.isprintable()
    return candidate if is_fit else None


def new_id() -> str:
    """A random UUID, for a message whose client gave it no id."""
    return str(uuid.uuid4())
