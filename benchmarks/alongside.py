"""Runs the server as `python main.py` does, with a task of a benchmark on the same event loop."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import main


def serve_alongside(task: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Serve until SIGTERM, and cancel the task `task()` then. SystemExit if the server did not end well."""
    run = main.run

    async def run_both(*args: Any, **kwargs: Any) -> None:
        beside = asyncio.create_task(task())
        await run(*args, **kwargs)
        beside.cancel()

    setattr(main, "run", run_both)  # noqa: B010 - mypy accepts no other way
    if status := main.main(["--env-file", os.devnull]):
        sys.exit(status)
