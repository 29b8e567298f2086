"""Password hashing, on threads and bounded.

Argon2id with the parameters of the OWASP Password Storage Cheat Sheet (m=19456 KiB, t=2, p=1): 35 to 50 ms a hash.
Argon2 releases the interpreter's lock while it computes, so threads are enough.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from passlib.context import CryptContext

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


class PasswordHasher:
    """Hashes in a pool of threads, at most `max_waiting` passwords at a time, running ones included.

    Event loop only.
    """

    def __init__(
        self,
        *,
        max_waiting: int = 256,
        threads: int | None = None,
        memory_kib: int = 19456,
        iterations: int = 2,
        parallelism: int = 1,
    ) -> None:
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="id",
            argon2__memory_cost=memory_kib,
            argon2__time_cost=iterations,
            argon2__parallelism=parallelism,
        )
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, "hashing", initializer=_lower_priority)
        self._max_waiting = max_waiting
        self._waiting = 0
        self.times = Histogram()  # from the call to the result, the wait included
        # An unknown e-mail address is verified against it, and so takes as long as a wrong password. Its digest is
        # drawn, not computed: no password has it, and the server starts 50 ms sooner.
        argon2 = self._context.handler()
        self._decoy = argon2(use_defaults=True, checksum=os.urandom(argon2.checksum_size)).to_string()

    @property
    def waiting(self) -> int:
        """The number of passwords that are being hashed or wait for it."""
        return self._waiting

    async def hash(self, password: str) -> str:
        """The hash to store for `password`. Raises `Overloaded` past `max_waiting`."""
        return await self._run(lambda: self._context.hash(_encoded(password)))

    async def verify(self, password: str, stored_hash: str | None) -> Verdict:
        """Whether `password` matches `stored_hash`; None, for an unknown user, takes as long and never matches.

        Raises `Overloaded` past `max_waiting`.
        """
        known = stored_hash is not None
        against = stored_hash if stored_hash is not None else self._decoy
        matches, renewed = await self._run(lambda: self._context.verify_and_update(_encoded(password), against))
        return Verdict(known and matches, renewed if known else None)

    def close(self) -> None:
        """Wait for the hashes that run, and cancel those that wait."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._max_waiting:
            raise Overloaded(retry_after_seconds=1 + self._waiting // (20 * self._threads))
        self._waiting += 1
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            return await loop.run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1
            self.times.observe(loop.time() - asked_at)


def _encoded(password: str) -> bytes:
    # A password may have any characters, also halves of surrogate pairs, which plain UTF-8 cannot encode.
    return password.encode("utf-8", "surrogatepass")


def _lower_priority() -> None:
    """Let the event loop's thread have the cores first (Linux keeps niceness per thread)."""
    # The system forbids it to a process that is nicer already, or has no niceness of single threads.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASHING_NICENESS)
