"""Answers of a database that may never come.

A database bounds its statements itself, where it can. Behind that stands this bound: a disk that hangs keeps its
thread, and an exception inside asyncio, such as a MemoryError, can lose the answer between a thread or a task and
the caller that waits for it.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, asked: "asyncio.Future[T]", lost: Callable[[], Exception]) -> "asyncio.Future[T]":
    """The future of the outcome of `asked`, which is given up after `seconds`: then it raises `lost()`."""
    loop = asked.get_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(_: object = None) -> None:
        timer.cancel()
        error = None if asked.cancelled() else asked.exception()
        if answer.done():
            return
        if asked.cancelled():
            answer.cancel()
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(asked.result())

    def give_up() -> None:
        if asked.done():  # and its callback was lost
            tell()
        elif not answer.done():
            asked.cancel()
            answer.set_exception(lost())

    timer = loop.call_later(seconds, give_up)
    asked.add_done_callback(tell)
    answer.add_done_callback(lambda done: asked.cancel() if done.cancelled() else None)
    return answer
