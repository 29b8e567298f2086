"""The standard streams of the process, as descriptors: for the lines that are not of the log."""

import contextlib
import os
from collections.abc import Iterable

STDIN, STDOUT, STDERR = range(3)


def write_lines(lines: Iterable[str], descriptor: int) -> bool:
    """As `write_text`, each line with its end."""
    return write_text("".join(f"{line}\n" for line in lines), descriptor)


def write_text(text: str, descriptor: int) -> bool:
    """Write `text`; False if not all of it was written. Python's `print` would fail a second time at the exit."""
    rest = memoryview(text.encode("utf-8", "backslashreplace"))
    with contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return not rest


def fill_standard_descriptors() -> None:
    """Open /dev/null as each standard descriptor that is closed: else a socket takes its number, and the log."""
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
