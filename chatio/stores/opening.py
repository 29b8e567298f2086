"""Opening the stores that an operator has named."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chatio.stores.base import Journal, RevocationStore, UserStore
from chatio.stores.memory import MemoryJournal, MemoryRevocationStore, MemoryUserStore


async def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The stores of one back end."""

    users: UserStore
    journal: Journal
    revocations: RevocationStore
    broken: asyncio.Event = field(default_factory=asyncio.Event)  # the process must end, and start anew
    close: Callable[[], Awaitable[None]] = _nothing


def in_memory(*, max_messages: int, max_bytes: int) -> Stores:
    """Stores that end with the process, with messages as far as the bounds go."""
    return Stores(
        users=MemoryUserStore(),
        journal=MemoryJournal(max_messages=max_messages, max_bytes=max_bytes),
        revocations=MemoryRevocationStore(),
    )
