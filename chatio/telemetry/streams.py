"""The standard streams of the process, as descriptors: for the lines that are not of the log."""

import contextlib
import os
from collections.abc import Iterable
from typing import Final

STDIN, STDOUT, STDERR = range(3)
STANDARD: Final = (STDIN, STDOUT, STDERR)


def write_lines(lines: Iterable[str], descriptor: int) -> None:
    """Write `lines`. What fails is left: Python's `print` would fail a second time at the exit."""
    text = "".join(f"{line}\n" for line in lines)
    with contextlib.suppress(OSError):
        os.write(descriptor, text.encode("utf-8", "backslashreplace"))


def fill_standard_descriptors() -> None:
    """Open /dev/null as each standard descriptor that is closed: else a socket takes its number, and the log."""
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
