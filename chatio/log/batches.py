"""Batches: from accepted messages to the journal, and to the acks of their senders.

    accept   a message joins the next batch; its future is done when the message is in the journal
    commit   one batch at a time is appended to the journal; the messages that come meanwhile are the next batch
    answer   the senders have their acks when the window has what the journal has taken

No sender has an ack before the journal has the message. A commit that takes long makes the next batch larger, and
no sender waits for more than two commits.

    the journal                    messages under way              messages that come
    is slow                        wait                            join the next batch, up to the queue's bound
    loses its answer               are appended again              `StoreUnavailable`
    is gone, its disk is full      `StoreUnavailable`, `StoreFull` the same for a second; then one batch is tried
    gives no answer at all         are appended again              `StoreUnavailable`
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Final, cast

from chatio.errors import IdReused, MessageDeleted, MessageRejected, StoreFull, StoreUnavailable, Temporary
from chatio.log.following import Follower
from chatio.log.message_log import Entry
from chatio.log.waiting import Waiting, WaitingMessages, key_of
from chatio.stores.errors import OutcomeUnknown, SchemaChanged, WentBack
from chatio.stores.journal import Appended, Journal
from chatio.stores.records import Change, Kind, Message
from chatio.telemetry.counters import Histogram, LabelledCounter
from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio.chat")

REFUSING_SECONDS: Final = 1.0  # after an append that failed, before the next one is tried
# An append whose outcome is unknown is repeated after these pauses, and then after the last of them.
REPEAT_SECONDS: Final = (0.05, 0.2, 0.5, 1.0)
# An append without an answer is lost: longer than the stores take to tell that they have none.
LOST_SECONDS: Final = 15.0
STORE_TROUBLES: Final = ("store", "store_full", "store_slow")


class Batches:
    """The messages that are on their way to the journal, whose follower is `follower`. Event loop only."""

    def __init__(self, journal: Journal, follower: Follower, *, queue_max: int) -> None:
        self.waiting = WaitingMessages(queue_max=queue_max)
        self.append_times = Histogram()
        self.appends = LabelledCounter(["ok", "store_full", "store_unavailable", "unknown"])
        self.messages = 0  # of all batches together
        self.repeated = 0  # messages that the journal had already
        self._journal = journal
        self._follower = follower
        self._window = follower.window
        self._batch: list[Waiting] = []  # handed over
        self._is_scheduled = False
        self._attempt = 0  # the number of the newest append; the answers of earlier ones are late
        self._tried_at = -math.inf  # when it began
        self._repeats = 0  # of the batch, since its outcome is unknown
        self._refusal: Temporary | None = None
        self._refusing_until = -math.inf
        self._giving_up: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """The number of messages that wait for the journal."""
        return len(self.waiting.by_key)

    def find(self, author_id: str, sent_id: str | None, content: object) -> "asyncio.Future[Entry] | Entry | None":
        """The message that the author sent with this id: its entry, or the future of one that waits; or None.

        Raises `IdReused` if its text is not `content`. The journal may know more messages; see `accept`.
        """
        entry = self._window.find_duplicate(author_id, sent_id)
        waiting = None if entry or sent_id is None else self.waiting.by_key.get((author_id, sent_id))
        if waiting is not None and waiting.done.done():  # given up, and sent again
            return None
        first = entry or waiting
        if first is None:
            return None
        if first.message.content != content:
            raise IdReused
        self.repeated += 1
        return waiting.done if waiting is not None else entry

    def accept(self, message: Message) -> "asyncio.Future[Entry]":
        """Take `message`; the future of its entry: that of the first message under the id, if the journal knew it.

        Raises `Overloaded`, `StoreUnavailable` or `StoreFull` if the message is not taken, and `IdReused`. The
        future raises these too, and `Unanswered`.
        """
        if not self._journal.is_durable:
            return self._accept_at_once(message)
        if (waiting := self.waiting.by_key.get(key_of(message))) is not None:
            if waiting.message.content != message.content:
                raise IdReused
            if waiting.done.done():  # given up, and sent again
                waiting.wait_anew()
            return waiting.done
        return self._queue_up(message)

    def change(self, change: Change) -> "asyncio.Future[Entry]":
        """Take `change`; the future of its entry, or of the newest edit of the message if that has the same text.

        Raises as `accept`, and so does the future, which also raises `MessageUnknown` and `MessageDeleted`.
        """
        return self._queue_up(change) if self._journal.is_durable else self._accept_at_once(change)

    def _queue_up(self, message: Message | Change) -> "asyncio.Future[Entry]":
        self._require_journal()
        accepting = self.waiting.put(message)
        if not self._batch and not self._is_scheduled:
            self._is_scheduled = True  # the other messages of this turn of the loop join the batch
            asyncio.get_running_loop().call_soon(self._commit)
        return accepting

    def _accept_at_once(self, message: Message | Change) -> "asyncio.Future[Entry]":
        """As `accept` and `change`, with a journal in memory, which answers in the same turn of the loop."""
        (result,) = self._hand_over([message]).result()
        if result.is_new:
            entry = self._window.append(result.record.message, result.record.kind)
            self._follower.on_new()
        else:
            _require_same(message, result)
            self.repeated += 1
            entry = self._window.entry_of(*result.record)
        accepted: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        accepted.set_result(entry)
        return accepted

    async def settle(self, seconds: float) -> None:
        """Return when each message that waits now for the journal has its ack or its error; or after `seconds`."""
        if accepted := [waiting.done for waiting in self.waiting.by_key.values()]:
            await asyncio.wait(accepted, timeout=seconds)
        await asyncio.sleep(0)  # the clients are told in the next turn of the loop

    def look_after(self) -> None:
        """Go on where an exception in the machinery has lost a step; called each second.

        The answer of an append, the start of a batch, or the end of what waits.
        """
        self.waiting.give_up_oldest()
        if self._batch and self._now() - self._tried_at > LOST_SECONDS:
            self._attempt += 1
            self._repeat()
        elif not self._batch:
            self._go_on()
        self.waiting.drop_forgotten(self._batch)

    @property
    def trouble(self) -> str | None:
        """Why messages are not accepted as they should be, one of `STORE_TROUBLES`; or None."""
        if self._repeats or (self._refusal is not None and self._now() < self._refusing_until):
            return "store_full" if isinstance(self._refusal, StoreFull) and not self._repeats else "store"
        return "store_slow" if self.waiting.is_slow else None

    def refuse(self, error: Temporary) -> None:
        self._refusal, self._refusing_until = error, self._now() + REFUSING_SECONDS

    def _require_journal(self) -> None:
        """Raises `StoreUnavailable` or `StoreFull` while an append that failed makes the next ones wait."""
        if self._repeats:
            raise StoreUnavailable
        if self._refusal is not None:
            if self._now() < self._refusing_until:
                raise type(self._refusal)
            self._refusal = None

    def _commit(self) -> None:
        """Hand the next batch over, unless one is under way."""
        self._is_scheduled = False
        if not self._batch and self.waiting.queue:
            self._batch = self.waiting.take_batch()
            self._append()

    def _append(self) -> None:
        began = self._tried_at = self._now()
        self._attempt += 1
        attempt = self._attempt
        try:
            appending = self._hand_over([waiting.message for waiting in self._batch])
        except Exception as error:
            self._repeat_after(error)
            return
        if appending.done():
            self._appended(appending, began, attempt)
        else:
            appending.add_done_callback(lambda done: self._appended(done, began, attempt))

    def _hand_over(self, batch: Sequence[Message | Change]) -> "asyncio.Future[list[Appended]]":
        """Append `batch`, in which all are messages or all are changes."""
        if isinstance(batch[0], Change):
            return self._journal.change(cast("Sequence[Change]", batch))
        return self._journal.append(cast("Sequence[Message]", batch))

    def _appended(self, appending: "asyncio.Future[list[Appended]]", began: float, attempt: int) -> None:
        error = None if appending.cancelled() else appending.exception()
        if attempt != self._attempt:
            return
        if isinstance(error, WentBack | SchemaChanged):
            self._give_up(error)
        elif appending.cancelled() or isinstance(error, OutcomeUnknown) or (error is not None and self._repeats):
            self._repeat()
        elif error is not None:
            self._fail(error)
        else:
            self.append_times.observe(self._now() - began)
            self.appends["ok"] += 1
            self.messages += len(self._batch)
            self._repeats, self._refusal = 0, None
            self._taken(appending.result(), attempt)

    def _taken(self, results: list[Appended], attempt: int) -> None:
        """The journal has the batch: apply it, tell the clients, answer the senders."""
        try:
            if any(result.is_new and self._follower.contradicts(result.record) for result in results):
                self._give_up(WentBack())
                return
            self._follower.offer([result.record for result in results])
            newest = max(result.record.number for result in results)
            if newest > self._window.head:  # messages of other servers come first
                self._follower.until(newest).add_done_callback(lambda _: self._answer(results, attempt))
                return
        except Exception as error:
            self._repeat_after(error)
        else:
            self._answer(results, attempt)

    def _give_up(self, error: WentBack | SchemaChanged) -> None:
        """Answer nothing to the senders of the batch: neither an ack nor an error would be true."""
        self._giving_up = asyncio.ensure_future(self._follower.give_up(error))

    def _answer(self, results: list[Appended], attempt: int) -> None:
        if attempt != self._attempt:
            return
        try:
            for waiting, result in zip(self._batch, results, strict=True):
                self._answer_one(waiting, result)
        except Exception as error:
            self._repeat_after(error)
            return
        self._batch = []
        self._go_on()

    def _answer_one(self, waiting: Waiting, result: Appended) -> None:
        self.repeated += not result.is_new and result.refusal is None
        if not waiting.done.done():
            try:
                _require_same(waiting.message, result)
                waiting.done.set_result(self._window.entry_of(*result.record))
            except MessageRejected as error:
                waiting.done.set_exception(error)
        self.waiting.by_key.pop(waiting.key, None)

    def _fail(self, error: BaseException) -> None:
        """Nothing of the batch was kept: refuse it, and what waits behind it."""
        if not isinstance(error, Temporary):
            report(logger, "appending messages", error)
            error = StoreUnavailable()
        self.appends["store_full" if isinstance(error, StoreFull) else "store_unavailable"] += 1
        self.refuse(error)
        batch, self._batch = self._batch, []
        self._repeats = 0
        self.waiting.drop(batch, error)
        self.waiting.drop_queue(error)
        self._go_on()

    def _repeat_after(self, error: Exception) -> None:
        """An exception that no code foresaw: the journal may have the batch, and no other one begins before it."""
        report(logger, "appending messages", error)
        self._repeat()

    def _repeat(self) -> None:
        """The batch is in the journal, or is not: append it again until that is known."""
        self.appends["unknown"] += 1
        pause = REPEAT_SECONDS[min(self._repeats, len(REPEAT_SECONDS) - 1)]
        self._repeats += 1
        self.waiting.drop_queue(StoreUnavailable())
        asyncio.get_running_loop().call_later(pause, self._append)

    def _go_on(self) -> None:
        if self.waiting.queue:
            self._commit()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _require_same(message: Message | Change, result: Appended) -> None:
    """Raise `MessageRejected` if the journal did not take `message`, and has not taken the same one before."""
    record, is_new, refusal = result
    if refusal is not None:
        raise refusal
    if is_new or isinstance(message, Change):
        return
    if record.kind is Kind.VOID and record.message.author_id == message.author_id:
        raise MessageDeleted
    if (record.message.author_id, record.message.content) != (message.author_id, message.content):
        raise IdReused
