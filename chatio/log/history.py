"""History: the log page by page, from the newest message back."""

from typing import Final

from chatio.log.following import READ_AT_ONCE
from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog
from chatio.stores.records import Kind

PIECES_OF_A_PAGE: Final = 8  # read at most; so many changes without a message take hours to make


async def messages_before(log: SharedLog, sequence: int, *, limit: int) -> tuple[list[Entry], int]:
    """The newest `limit` messages before `sequence`, oldest first, and the sequence after which to go on.

    They are fewer where there are no more, or only changes for thousands of entries. Raises `StoreUnavailable`.
    """
    messages: list[Entry] = []
    start = sequence - 1
    for piece in range(PIECES_OF_A_PAGE):
        if len(messages) >= limit or start <= log.tail:
            break
        stop, start = start, max(start - (READ_AT_ONCE if piece else limit), log.tail)
        entries = await log.read(start, limit=stop - start)
        messages[:0] = [entry for entry in entries if entry.kind is Kind.POSTED]
    if len(messages) > limit:
        messages = messages[-limit:]
        start = messages[0].sequence - 1
    return messages, start
