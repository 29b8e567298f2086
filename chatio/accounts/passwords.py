"""Password hashing, on threads and bounded.

Argon2id with the parameters of the OWASP Password Storage Cheat Sheet (m=19456 KiB, t=2, p=1): 35 to 50 ms a hash.
Argon2 releases the interpreter's lock while it computes, so threads are enough.
"""

import asyncio
import contextlib
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from passlib.context import CryptContext

from chatio.accounts.password_rules import MAX_WRITTEN_CHARS, PASSWORD_CHARS, prepared
from chatio.errors import Overloaded
from chatio.telemetry.counters import Histogram

# There are as many threads as cores: without this the kernel shares the cores evenly between hashing and the event
# loop. Measured with `python -m benchmarks.registration` (docs/decisions/0005-hashing-threads.md).
HASHING_NICENESS = 10

T = TypeVar("T")


class Verdict(NamedTuple):
    """Whether a password matches; `renewed_hash` is set if it does and its hash has older parameters."""

    matches: bool
    renewed_hash: str | None


class _Queue:
    """A pool of threads, and the passwords that are being hashed there or wait for it."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self.threads = ThreadPoolExecutor(threads, "hashing", initializer=_lower_priority)
        self.waiting = 0
        self._max_waiting = max_waiting

    @property
    def is_full(self) -> bool:
        return self.waiting >= self._max_waiting


class PasswordHasher:
    """Hashes in a pool of threads, at most `max_waiting` passwords at a time, running ones included.

    Known clients also have a thread and a queue, of a quarter of that, of their own: they log in while others fill
    the queue with guesses. Event loop only.
    """

    def __init__(
        self,
        *,
        max_waiting: int = 256,
        threads: int | None = None,
        memory_kib: int = 19456,
        iterations: int = 2,
    ) -> None:
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="id",
            argon2__memory_cost=memory_kib,
            argon2__time_cost=iterations,
            argon2__parallelism=1,
        )
        self._threads = threads or os.cpu_count() or 1
        self._queue = _Queue(self._threads, max_waiting)
        self._queue_of_known = _Queue(1, math.ceil(max_waiting / 4))
        self.times = Histogram()  # from the call to the result, the wait included
        # An unknown e-mail address is verified against it, and so takes as long as a wrong password. Its digest is
        # drawn, not computed: no password has it, and the server starts 50 ms sooner.
        argon2 = self._context.handler()
        self._decoy = argon2(use_defaults=True, checksum=os.urandom(argon2.checksum_size)).to_string()

    @property
    def waiting(self) -> int:
        """The number of passwords that are being hashed or wait for it."""
        return self._queue.waiting + self._queue_of_known.waiting

    async def hash(self, password: str) -> str:
        """The hash to store for `password`. Raises `Overloaded` past `max_waiting`."""
        return await self._run(self._queue, lambda: self._hash(_cut(prepared(password[:MAX_WRITTEN_CHARS]))))

    async def verify(self, password: str, stored_hash: str | None, *, is_known: bool = False) -> Verdict:
        """Whether `password` matches `stored_hash`; None, for an unknown user, takes as long and never matches.

        A hash of the password as it was typed, which an older version stored, matches too and is renewed.
        `is_known`: the account has been logged in to from the client's address. Raises `Overloaded` past
        `max_waiting`.
        """
        known = stored_hash is not None
        against = stored_hash if stored_hash is not None else self._decoy
        queue = self._queue
        if is_known:
            queue = min(queue, self._queue_of_known, key=lambda each: (each.is_full, each.waiting))
        matches, renewed = await self._run(queue, lambda: self._verify(password[:MAX_WRITTEN_CHARS], against))
        return Verdict(known and matches, renewed if known else None)

    def close(self) -> None:
        """Wait for the hashes that run, and cancel those that wait."""
        for queue in (self._queue, self._queue_of_known):
            queue.threads.shutdown(wait=True, cancel_futures=True)

    def _hash(self, text: str) -> str:
        return self._context.hash(_encoded(text))

    def _verify(self, password: str, against: str) -> tuple[bool, str | None]:
        text, typed = _cut(prepared(password)), _cut(password)
        matches, renewed = self._context.verify_and_update(_encoded(text), against)
        if not matches and typed != text and self._context.verify(_encoded(typed), against):
            return True, self._hash(text)
        return matches, renewed

    async def _run(self, queue: _Queue, work: Callable[[], T]) -> T:
        if queue.is_full:
            raise Overloaded(retry_after_seconds=1 + queue.waiting // (20 * self._threads))
        queue.waiting += 1
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            return await loop.run_in_executor(queue.threads, work)
        finally:
            queue.waiting -= 1
            self.times.later.append(loop.time() - asked_at)


def _cut(password: str) -> str:
    """`password`, cut one character past the longest, which still is wrong; passlib raises from 4097 bytes on."""
    return password[: PASSWORD_CHARS.stop]


def _encoded(password: str) -> bytes:
    # A password may have any characters, also halves of surrogate pairs, which plain UTF-8 cannot encode.
    return password.encode("utf-8", "surrogatepass")


def _lower_priority() -> None:
    """Let the event loop's thread have the cores first (Linux keeps niceness per thread)."""
    # The system forbids it to a process that is nicer already, or has no niceness of single threads.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASHING_NICENESS)
