"""Recovery: where the cursor of a new connection starts. No table of past sessions is needed.

A client of Socket.IO 4.6 or newer remembers the `pid` of its CONNECT answer and the last text argument of the
events it received, which is the offset of the last message, and sends both in its next CONNECT. Our `pid` contains
the offset at which that connection began. So a client that received no message yet recovers too, and any server
that has the log can recover any client. An answer with the same `pid` tells the client that no message is missing
(`socket.recovered`; Socket.IO protocol, "Connection state recovery").

    pid             offset            the cursor starts after    recovered
    none, invalid   (any)             HISTORY before the head    no
    of another log  (any)             the tail                   no: the client received no message of this log
    of this log     none              the pid's offset           yes
    of this log     of this log       the offset                 yes
    of this log     dropped           the tail                   no
    of this log     of another log    the pid's offset           no: the client received no message of this log
    of this log     invalid           the head                   no: which messages it received is unknown
"""

import logging
import secrets
from typing import Final, NamedTuple

from chatio.errors import OffsetInvalid
from chatio.log.message_log import MessageLog

logger = logging.getLogger("chatio.recovery")

_SEPARATOR: Final = "."
_MAX_CHARS: Final = 64  # an offset has 25, a pid 34


class ResumePoint(NamedTuple):
    """The cursor starts after the sequence `after`; `pid` is for the CONNECT answer."""

    after: int
    pid: str
    recovered: bool


def resume_point(log: MessageLog, pid: object, offset: object, *, history: int) -> ResumePoint:
    """The place in the log at which a client's new connection starts. Never raises.

    `pid`, which names the client's earlier connection, and `offset`, of the last message it received, are what the
    client sent in its CONNECT, and may be anything. `history`: the number of newest messages for a client without
    a `pid`.
    """
    if pid is None:
        return _fresh(log, None, None, history=history)
    try:
        began = log.sequence_of(_text(pid).rpartition(_SEPARATOR)[0])
    except OffsetInvalid:
        if isinstance(pid, str) and log.is_foreign(pid.rpartition(_SEPARATOR)[0]):
            return _fresh(log, log.tail, "pid of another log")
        return _fresh(log, None, "pid", history=history)
    after = began
    if offset is not None:
        try:
            after = log.sequence_of(_text(offset))
        except OffsetInvalid:
            if isinstance(offset, str) and log.is_foreign(offset):
                return _fresh(log, began, "offset of another log")
            return _fresh(log, log.head, "offset")
        if after < began:
            return _fresh(log, log.head, "offset before the pid's")
    if after < log.tail:
        return _fresh(log, after, "dropped")
    return ResumePoint(after, str(pid), recovered=True)


def _fresh(log: MessageLog, after: int | None, reason: str | None, *, history: int = 0) -> ResumePoint:
    """A start that is no recovery: after the sequence `after`; None: before the newest `history` messages."""
    if reason is not None:
        logger.debug("not recovered: %s", reason)
    after = log.before_newest(history) if after is None else max(after, log.tail)
    return ResumePoint(after, f"{log.offset_of(after)}{_SEPARATOR}{secrets.token_urlsafe(6)}", recovered=False)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_CHARS:
        raise OffsetInvalid
    return value
