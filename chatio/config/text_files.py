"""Files of settings and keys: read whole, or refused in one sentence without their path and without their text."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 2**20

_REASONS: Final = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "this user may not read it",
    errno.EPERM: "this user may not read it",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "its links lead in a circle",
}


class UnreadableFile(ValueError):
    """A file that cannot be read; the text says why, after a colon."""

    def __init__(self, reason: str, *, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.is_missing = is_missing


def read_text(path: str | Path) -> str:
    """The text of the file at `path`, which is UTF-8, with or without a byte order mark.

    Never waits for a pipe or a terminal. Raises `UnreadableFile`.
    """
    try:
        _check_kind(os.stat(path))
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"it cannot be read ({error.strerror})")
        raise UnreadableFile(reason, is_missing=error.errno == errno.ENOENT) from None
    except UnreadableFile:
        raise
    except ValueError:  # os.stat's
        raise UnreadableFile("its name has a NUL character") from None
    if len(data) > MAX_BYTES:
        raise UnreadableFile("it is larger than 1 MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile("it is not UTF-8") from None
    if "\0" in text:
        raise UnreadableFile("it has a NUL character, and so is no text")
    return text


def _check_kind(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableFile("it is a folder")
    is_null_device = os.path.samestat(status, os.stat(os.devnull))
    if not (stat.S_ISREG(status.st_mode) or is_null_device):
        raise UnreadableFile("it is a pipe, a socket or a device, and no file")
