"""Deletions of all messages of a user, while some of them are on their way to the store."""

import asyncio

from chatio.chat.changes import MessageChanges
from chatio.log.shared_log import open_log
from chatio.moderation.deletions import Deletions
from chatio.stores.opening import in_memory
from tests.contract.journal import message
from tests.contract.user_store import ADA
from tests.unit.clock import Clock
from tests.unit.log.test_shared_log import SlowJournal, turn
from tests.unit.moderation.test_enforcement import process


async def test_messages_that_wait_for_the_store_are_deleted_too() -> None:
    journal = SlowJournal()
    log = await open_log(journal)
    moderation = (await process(in_memory(max_messages=9, max_bytes=9), Clock())).moderation
    changes = MessageChanges(log, edit_seconds=60, max_chars=100, voices=moderation.enforcement.voices)
    log.accept(message("a", author_id=ADA.id))
    deleting = asyncio.ensure_future(Deletions(log, changes, moderation).delete_all_of(ADA))
    await turn()
    await journal.take()
    await deleting
    assert await log.by_author(ADA.id, 0, limit=9) == []
    assert log.window.head == 2
