"""The PostgreSQL server of the tests leaves nothing behind where it cannot start."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import PostgresServer, programs


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where servers keep their data. Not in pytest's own folder, which the user `postgres` may not enter."""
    with tempfile.TemporaryDirectory(prefix="chatio-postgres-") as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def processes_in(folder: Path) -> list[str]:
    commands = [path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [command for command in commands if str(folder) in command]


def test_a_server_that_ends_at_its_start_says_why(folder: Path) -> None:
    server = PostgresServer("-c", "no_such_setting=1")
    with pytest.raises(AssertionError, match="unrecognized configuration parameter"):
        server.start()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("missing", ["pg_isready", "initdb"])
def test_a_server_without_one_of_its_programs_is_not_left_running(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    some = folder / "bin"
    some.mkdir()
    for program in programs().iterdir():
        if program.name != missing:
            (some / program.name).symlink_to(program)
    monkeypatch.setenv("CHATIO_TESTS_POSTGRES", str(some))
    with pytest.raises((AssertionError, FileNotFoundError)):
        PostgresServer().start()
    assert list(folder.iterdir()) == [some]
    assert processes_in(folder) == []
