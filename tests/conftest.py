"""Fixtures of every test: an event loop of its own, and no unexpected log record."""

import asyncio
import inspect
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import settings
from tornado.ioloop import IOLoop

from tests import measuring

# No test depends on speed, and Hypothesis gives each example 0.2 s by default.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give every async test the loop below; else pytest-tornasync takes the current one, which all would share."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.fixturenames.insert(0, "io_loop")


def pytest_configure(config: pytest.Config) -> None:
    """Measure the workers only, and not the process that hands the tests out to them."""
    if config.getoption("numprocesses", None):
        measuring.finish()


def pytest_sessionfinish() -> None:
    """Under load a worker needs longer to end its servers than the 10 s after which xdist kills it."""
    measuring.finish()


@pytest.fixture
def io_loop() -> Iterator[IOLoop]:
    """A fresh loop for one test; tasks that the test left running are cancelled before it closes.

    Replaces pytest-tornasync's fixture of the same name, which makes its loop the current one in a way that
    Python 3.12 deprecates.
    """
    asyncio_loop = asyncio.new_event_loop()
    loop = IOLoop(asyncio_loop=asyncio_loop, make_current=False)
    yield loop

    async def cancel_what_is_left() -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    loop.run_sync(cancel_what_is_left)
    asyncio_loop.run_until_complete(asyncio_loop.shutdown_asyncgens())
    asyncio_loop.run_until_complete(asyncio_loop.shutdown_default_executor())
    loop.close(all_fds=True)


class ExpectedLogs(logging.Handler):
    """Collects every record of level WARNING or above, and knows which of them the test announced."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self._patterns: list[re.Pattern[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def expect(self, pattern: str) -> None:
        """Announce that a record whose text matches `pattern` (searched for) will come; it must."""
        self._patterns.append(re.compile(pattern))

    def verify(self) -> None:
        texts = [record.getMessage() for record in self.records]
        unexpected = [text for text in texts if not any(p.search(text) for p in self._patterns)]
        assert not unexpected, f"unexpected log records: {unexpected}"
        missing = [p.pattern for p in self._patterns if not any(p.search(text) for text in texts)]
        assert not missing, f"log records that were announced and did not come: {missing}"


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Undo the changes of `log_handler.configure` to the process."""
    loggers = [logging.getLogger(), logging.getLogger("tornado.general")]
    levels = [logger.level for logger in loggers]
    handlers = list(loggers[0].handlers)
    hooks = warnings.showwarning, sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    warnings.showwarning, sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    for handler in [added for added in loggers[0].handlers if added not in handlers]:
        loggers[0].removeHandler(handler)
        handler.close()
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def logs() -> Iterator[ExpectedLogs]:
    """Fail the test on a WARNING or worse that it did not announce with `logs.expect(...)`."""
    handler = ExpectedLogs()
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    handler.verify()
