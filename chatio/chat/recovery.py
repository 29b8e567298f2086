"""Where a connection's cursor starts: recovery and history are one decision, made without a table of sessions.

A client of Socket.IO 4.6 or newer remembers the `pid` of its CONNECT answer and the last string argument of the
events it received, which is the offset of the last message, and names both in its next CONNECT. Our `pid` carries
the offset at which that connection began, so who has seen nothing yet recovers too, and any server that has the
log can recover anybody. An answer with the same `pid` tells the client that nothing is missing
(`socket.recovered`).

    pid            offset            starts behind          recovered
    none, odd      (any)             HISTORY before head    no
    of another log (any)             tail                   no; but it saw nothing of this log, and gets all of it
    ours           none              where it began         yes
    ours           ours              the offset             yes
    ours           of another log    where it began         no; it saw nothing since it came to this log
    ours           odd               the head               no; what it has seen cannot be known
    ours           ours, evicted     what is left           no

(Socket.IO protocol, "Connection state recovery".)
"""

import logging
import secrets
from typing import Final, NamedTuple

from chatio.chat.message_log import MessageLog
from chatio.errors import OffsetInvalid

logger = logging.getLogger("chatio.recovery")

_SEPARATOR: Final = "."
_MAX_CHARS: Final = 64  # an offset has 25, a pid 34


class ResumePoint(NamedTuple):
    """The cursor starts behind entry `after`; `pid` goes into the CONNECT answer."""

    after: int
    pid: str
    recovered: bool


def resume_point(log: MessageLog, pid: object, offset: object, *, history: int) -> ResumePoint:
    """Where who names `pid` and `offset`, anything that a client may send, starts. Never raises.

    `history`: how many messages before the head somebody new gets.
    """
    if pid is None:
        return _fresh(log, log.head - history, None)
    try:
        began = log.sequence_of(_text(pid).rpartition(_SEPARATOR)[0])
    except OffsetInvalid:
        if isinstance(pid, str) and log.is_foreign(pid.rpartition(_SEPARATOR)[0]):
            return _fresh(log, log.tail, "pid of another log")
        return _fresh(log, log.head - history, "pid")
    after = began
    if offset is not None:
        try:
            after = log.sequence_of(_text(offset))
        except OffsetInvalid:
            if isinstance(offset, str) and log.is_foreign(offset):
                return _fresh(log, began, "offset of another log")
            return _fresh(log, log.head, "offset")
        if after < began:
            return _fresh(log, log.head, "offset before its connection")
    if after < log.tail:
        return _fresh(log, after, "evicted")
    return ResumePoint(after, str(pid), recovered=True)


def _fresh(log: MessageLog, after: int, reason: str | None) -> ResumePoint:
    if reason is not None:
        logger.debug("not recovered: %s", reason)
    after = max(after, log.tail)
    return ResumePoint(after, f"{log.offset_of(after)}{_SEPARATOR}{secrets.token_urlsafe(6)}", recovered=False)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_CHARS:
        raise OffsetInvalid
    return value
