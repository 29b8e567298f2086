"""History: the log page by page, from the newest message back."""

from typing import Final

from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog

ENTRIES_OF_A_PAGE: Final = 8000  # looked through at most; so many changes without a message take a while to make


async def messages_before(log: SharedLog, sequence: int, *, limit: int) -> tuple[list[Entry], int]:
    """The newest `limit` messages before `sequence`, oldest first, and the sequence after which to go on.

    They are fewer where there are no more, or only changes for thousands of entries. Raises `StoreUnavailable`.
    """
    least = max(sequence - 1 - ENTRIES_OF_A_PAGE, log.tail)
    messages = await log.messages(least, sequence, limit=limit)
    return messages, messages[0].sequence - 1 if len(messages) == limit else least
