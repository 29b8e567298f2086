"""When the coverage of a test process counts: measuring it doubles the time of all Python code in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from coverage import Coverage


@contextmanager
def unmeasured() -> Iterator[None]:
    """Nothing is measured in this process meanwhile; the servers that a test starts are."""
    measuring = Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()


def finish() -> None:
    """Measure no more in this process, and save what was measured: it may be killed before its end."""
    if (measuring := Coverage.current()) is not None:
        measuring.stop()
        measuring.save()
