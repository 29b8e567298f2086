"""The interface of a bus: how the servers that share a database know of each other.

What a bus says may be lost, repeated or late. Each server therefore looks at the tables too, at every beat.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol

from chatio.stores.accounts import Ended
from chatio.stores.records import Record

MOST_TYPING_BYTES: Final = 7_000  # of a NOTIFY: PostgreSQL takes less than 8,000
KEPT_VERSIONS: Final = 60  # for so many versions, a user who has left is told as one


class Signal(Enum):
    """What a bus tells, and the text that comes with it."""

    BEAT = "beat"  # "": this server's own beat
    HEAD = "head"  # what another server has appended: the text is for `Bus.entries`
    REVOKED = "revoked"  # the sequence of a revocation
    PEOPLE = "people"  # the id of a server whose users have changed, a blank, and their version
    TYPING = "typing"  # as it was given to `tell_typing`
    LISTENING = "listening"  # "": the bus listens again, and what was told meanwhile is lost


class ServerSeen(NamedTuple):
    """A server, as its last beat said, `silent_seconds` ago; `people` is the version of its users."""

    id: str
    name: str
    silent_seconds: float
    people: int


class Person(NamedTuple):
    """A user at a server: online there, or gone."""

    id: str
    name: str
    is_online: bool


class Revoked(NamedTuple):
    """A revocation: its sequence, which tokens have ended, and why, as `EndReason` says it."""

    sequence: int
    ended: Ended
    reason: str


class Bus(Protocol):
    """The servers of one database. Event loop only. Every method may raise `StoreUnavailable`."""

    id: str  # of this process

    @property
    def is_listening(self) -> bool:
        """Whether there is a connection on which signals come. It may be dead without anybody knowing."""

    async def listen(self, heard: Callable[[Signal, str], None]) -> None:
        """Give every signal to `heard`, until cancelled; connect anew whenever the connection is lost."""

    def entries(self, text: str, *, are_taken: bool) -> tuple[int, list[Record]]:
        """What the text of a `Signal.HEAD` says: the number of the newest entry, and the newest entries.

        The text has none where they are too long for a signal. `are_taken`: else none are returned; the journal
        takes those that are for known to this server.
        """
        ...

    def listen_anew(self) -> None:
        """The connection is silent: give it up for another one."""

    async def beat(self, name: str) -> list[ServerSeen]:
        """Say that this server is there, and hear it as `Signal.BEAT`; all servers, this one included."""
        ...

    async def leave(self) -> None:
        """This server ends: forget it, and its users."""

    async def last_revocation(self) -> int:
        """The sequence of the newest revocation; 0 if there is none."""
        ...

    async def revoked_after(self, sequence: int) -> list[Revoked]:
        """The revocations with a later sequence. One that began earlier may still come with a smaller one."""
        ...

    async def tell_people(self, version: int, changed: Sequence[Person], *, is_all: bool) -> None:
        """Users have come to this server or left it. `is_all`: `changed` is all users that are there."""

    async def people_of(self, server: str, after: int) -> tuple[int, list[Person]]:
        """What changed at `server` after the version `after`, and the version it has now; after 0, all users."""
        ...

    async def tell_typing(self, text: str) -> None:
        """Tell the other servers that users type, of at most `MOST_TYPING_BYTES`."""
