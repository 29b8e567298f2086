"""Files of settings and keys: what is read, and the sentence for each one that is not."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatio.config.text_files import MAX_BYTES, UnreadableFile, read_text

NO_FILE = "it is a pipe, a socket or a device, and no file"
NOBODY = 65534


def reason_of(path: str | Path) -> str:
    with pytest.raises(UnreadableFile) as caught:
        read_text(path)
    return str(caught.value)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read every file."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(was)


@pytest.mark.parametrize(
    ("content", "text"), [(b"", ""), ("Ænn 🦊\n".encode(), "Ænn 🦊\n"), (b"\xef\xbb\xbfA=1", "A=1")]
)
def test_a_text_file_is_read_without_its_byte_order_mark(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "file") == read_text(str(tmp_path / "link")) == text


def test_the_null_device_is_an_empty_file() -> None:
    assert read_text(os.devnull) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"A=\xff", "it is not UTF-8"),
        ("A=1".encode("utf-16"), "it is not UTF-8"),
        (b"A=\xed\xa0\x80", "it is not UTF-8"),
        (b"A=1\0\nB=2", "it has a NUL character, and so is no text"),
        (b"x" * (MAX_BYTES + 1), "it is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert reason_of(tmp_path / "file") == reason


def test_only_a_file_is_read_and_no_pipe_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    assert reason_of(tmp_path) == reason_of("/") == "it is a folder"
    for path in (tmp_path / "pipe", tmp_path / "socket", "/dev/zero", "/dev/tty"):
        assert reason_of(path) == NO_FILE


def test_a_name_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to("circle")
    assert reason_of(tmp_path / "missing") == reason_of(tmp_path / "file" / "below") == "there is no such file"
    assert reason_of("") == "there is no such file"
    assert reason_of(tmp_path / ("x" * 300)) == reason_of("/x" * 5000) == "its name is too long"
    assert reason_of(tmp_path / "circle") == "its links lead in a circle"
    assert reason_of("a\0b") == "its name has a NUL character"


def test_a_file_or_folder_that_is_closed_to_this_user_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("")
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):  # noqa: S108
            folder.chmod(0o755)
    with as_nobody():
        assert reason_of(closed / "file") == reason_of(secret) == "this user may not read it"
