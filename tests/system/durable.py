"""A server with a database that is killed and started again on the same port, as a supervisor does it."""

from types import TracebackType
from typing import Any, Self

from tests.ports import free_port
from tests.system.server import ServerProcess


class DurableServer:
    """A server with the database at `database_url`; `kill_and_start` makes another one with the same settings."""

    def __init__(self, database_url: str, **settings: str) -> None:
        self._settings: dict[str, Any] = {
            "DATABASE_URL": database_url,
            "SERVER_PORT": str(free_port()),
            "SHUTDOWN_GRACE_SECONDS": "2",
            **settings,
        }
        self.process = ServerProcess(**self._settings)

    def __enter__(self) -> Self:
        self.process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.process.__exit__(kind, error, tb)

    @property
    def database(self) -> str:
        """The name of a database of PostgreSQL."""
        return str(self._settings["DATABASE_URL"]).rpartition("/")[2]

    @property
    def url(self) -> str:
        return self.process.url

    def kill(self) -> None:
        """kill -9."""
        self.process.process.kill()
        self.process.process.wait()
        self.process.__exit__(None, None, None)

    def start(self, **changes: str) -> None:
        self._settings |= changes
        self.process = ServerProcess(**self._settings)
        self.process.__enter__()

    def kill_and_start(self) -> None:
        self.kill()
        self.start()

    def restart(self) -> None:
        """A graceful stop, and a start."""
        self.process.__exit__(None, None, None)
        self.start()
