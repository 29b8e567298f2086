"""Entries of the journal: messages and their changes, and what later changes leave of them."""

import hashlib
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

# Fields of clients' bodies, with an example for the documents.
UserId = Annotated[str, Meta(examples=["0f5e2c7a-6d0b-4b57-9c36-8a1d2e4f7b90"])]
UserName = Annotated[str, Meta(examples=["Ann"])]
MessageId = Annotated[str, Meta(examples=["c4a1d7e2-93b5-4f0e-8d21-5e6f7a8b9c0d"])]
Content = Annotated[str, Meta(examples=["Hello!"])]
ClockTime = Annotated[
    str, Meta(description="The time of the sender's clock, for people to read.", examples=["10:32 AM"])
]
# The server's time, not the sender's.
SentAt = Annotated[
    str,
    Meta(
        description="RFC 3339, UTC, milliseconds.",
        examples=["2026-03-01T09:32:07.415Z"],
        extra_json_schema={"format": "date-time"},
    ),
]


class Message(msgspec.Struct, frozen=True):
    """What all clients receive; nothing else that the sender sent is passed on.

    `content` is the newest text. Of a message that was deleted it is empty, and `edited_at` the time of that.
    """

    id: MessageId
    content: Content
    author_id: UserId
    author_name: UserName
    timestamp: ClockTime
    sent_at: SentAt
    status: Literal["sent"] = "sent"
    edited_at: SentAt | UnsetType = UNSET


class Change(msgspec.Struct, frozen=True):
    """An edit or a deletion of a message: an entry of its own. `key` tells it from every other change."""

    key: str
    message_id: str
    content: str | None  # the text from now on; None: a deletion
    at: SentAt


class Kind(Enum):
    """What an entry says, as of now."""

    POSTED = "posted"  # there is a message
    EDITED = "edited"  # a message has another text
    DELETED = "deleted"  # a message is no more
    VOID = "void"  # nothing any more: its message was deleted or forgotten, or it is an edit before a later one


class Record(NamedTuple):
    """An entry of the journal: its number, and the message that it posted or changed, as that is now."""

    number: int
    message: Message
    kind: Kind = Kind.POSTED


# In the place of a message that its changes outlived.
FORGOTTEN: Final = Message("", "", "", "", "", "1970-01-01T00:00:00.000Z")


class Version(NamedTuple):
    """The newest change of a message: its number, its text or None, and its time."""

    number: int
    content: str | None
    at: str


def derived_id(author_id: str, sent_id: str) -> str:
    """The id of a message whose own id another author has taken: the same one each time it is sent."""
    return hashlib.sha256(f"{author_id}\n{sent_id}".encode(errors="replace")).hexdigest()[:32]


def folded(number: int, post: Record | None, at: str | None, newest: Version | None) -> Record:
    """The entry `number` as it is now: `post` itself, or the change of `post` that was made `at` that time.

    `post`: the message as it was sent; None if it was forgotten. `newest`: its last change, if there is one.
    """
    if post is None:
        return Record(number, FORGOTTEN, Kind.VOID)
    if newest is None:
        return post
    is_newest, is_post = number == newest.number, at is None
    if newest.content is not None and (is_newest or is_post):
        message = msgspec.structs.replace(post.message, content=newest.content, edited_at=newest.at)
        return Record(number, message, Kind.EDITED if is_newest else Kind.POSTED)
    message = msgspec.structs.replace(post.message, content="", edited_at=newest.at if is_post else at)
    return Record(number, message, Kind.DELETED if is_newest else Kind.VOID)


def record_of(row: Sequence[Any]) -> Record:
    """The entry of a database's row: its number, the time if it is a change, the message, its newest change."""
    number, at, post, id_, content, author_id, author_name, timestamp, sent_at, *newest = row
    if post is None:
        return folded(number, None, at, None)
    record = Record(post, Message(id_, content, author_id, author_name, timestamp, sent_at))
    return folded(number, record, at, None if newest[0] is None else Version(*newest))
