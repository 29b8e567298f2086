"""A PostgreSQL database: how it is connected to, and what its failures mean.

Each call is one transaction on a connection of a pool, mostly of one statement. A connection that failed is
thrown away, and the pool opens another one, so that a database that was restarted or replaced is found again.

    failure                                          what was changed      raised
    no connection can be had                         nothing               `StoreUnavailable`
    the database refuses the statement               nothing               `StoreUnavailable`, `StoreFull`
    the connection ends, or no answer comes          unknown               `OutcomeUnknown`

A connection that ends, or leads to a server that only reads, takes the other ones with it: after a failover all of
them are dead, and each would cost a call `ANSWER_SECONDS`.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import asyncpg

from chatio.errors import StoreFull, StoreUnavailable
from chatio.stores.answers import within
from chatio.stores.errors import OutcomeUnknown, StoreUnusable
from chatio.stores.postgres.schema import APPLICATION, WITHOUT_TIMEOUTS, prepare

logger = logging.getLogger("chatio.store")

T = TypeVar("T")

MAX_CONNECTIONS: Final = 5
CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 5.0
CALL_SECONDS: Final = 12.0  # more than both, and than what gives a connection back: the call itself is lost
# The database ends a statement before this server gives it up: what then has become of it is known. And it ends a
# transaction whose client is gone, with its locks, where TCP does not tell.
_STATEMENT_TIMEOUT: Final = "4500ms"
_IDLE_IN_TRANSACTION_TIMEOUT: Final = "10s"
_POOLER_HINT: Final = (
    "; name statement_timeout and idle_in_transaction_session_timeout in PgBouncer's ignore_startup_parameters"
)
_DISK_FULL: Final = "53100"
_READ_ONLY: Final = "25006"
_NO_CONNECTION: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # no host of the URL can be written to
)
# The server ends the connection (57P01 to 57P05), maybe after the commit, or the protocol is broken (08).
_CONNECTION_ENDS: Final = ("57P0", "08")


class Database:
    """Event loop only. `open_database` makes one."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def run(self, action: Callable[[Any], Awaitable[T]]) -> T:
        """The result of `action`, which is one call of a connection. Raises as the table above says.

        An error of a constraint comes as asyncpg raises it.
        """
        held: list[Any] = []

        def lost() -> Exception:
            for connection in held:
                _terminate(connection)
            _log_refused(TimeoutError())
            return OutcomeUnknown()

        return await within(CALL_SECONDS, asyncio.ensure_future(self._run(action, held)), lost)

    async def read(self, action: Callable[[Any], Awaitable[T]]) -> T:
        """As `run`, for what may simply be asked for again: an unknown outcome is `StoreUnavailable`."""
        try:
            return await self.run(action)
        except OutcomeUnknown as error:
            raise StoreUnavailable from error

    async def close(self) -> None:
        """Finish what is under way, within `ANSWER_SECONDS`, and close every connection."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _run(self, action: Callable[[Any], Awaitable[T]], held: list[Any]) -> T:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._pool.acquire()
        except _NO_CONNECTION as error:
            _log_refused(error)
            raise StoreUnavailable from error
        held.append(connection)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await action(connection)
        except asyncpg.IntegrityConstraintViolationError:
            raise
        except asyncpg.PostgresError as error:
            if (error.sqlstate or "08").startswith(_CONNECTION_ENDS):
                await self._replace(connection)
                raise OutcomeUnknown from error
            _log_refused(error)
            if error.sqlstate == _DISK_FULL:
                raise StoreFull from error
            if error.sqlstate == _READ_ONLY:  # a failover has made a standby of the server
                await self._replace(connection)
            else:
                _terminate(connection)
            raise StoreUnavailable from error
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            await self._replace(connection)
            _log_refused(error)
            raise OutcomeUnknown from error
        except BaseException:  # cancelled: the statement may run on
            _terminate(connection)
            raise
        finally:
            await self._release(connection)

    async def _replace(self, connection: Any) -> None:
        """Have every call that comes use a new connection."""
        _terminate(connection)
        await self._pool.expire_connections()

    async def _release(self, connection: Any) -> None:
        try:
            await self._pool.release(connection, timeout=CONNECT_SECONDS)
        except _NO_CONNECTION:
            _terminate(connection)


async def open_database(url: str) -> Database:
    """The database at `url`, with the newest schema. Raises `StoreUnusable`."""
    with _unusable():
        return Database(await _opened(url))


@contextlib.asynccontextmanager
async def filling(url: str) -> AsyncIterator[Any]:
    """A connection to the empty database at `url`, in one transaction. Raises `StoreUnusable`."""
    with _unusable():
        pool = await _opened(url)
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(WITHOUT_TIMEOUTS)
                head = await connection.fetchval("SELECT head FROM chatio.log FOR UPDATE")
                if head or await connection.fetchval("SELECT EXISTS (SELECT FROM chatio.users)"):
                    raise StoreUnusable("the database to migrate to has messages or users already")
                yield connection
        finally:
            pool.terminate()


async def _opened(url: str) -> Any:
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=MAX_CONNECTIONS,
        reset=_nothing,  # no statement here leaves a trace in its session; asyncpg's reset is one more round trip
        timeout=CONNECT_SECONDS,
        target_session_attrs="read-write",  # of several hosts: a standby may lag, which looks like a loss
        server_settings={
            "application_name": APPLICATION,
            "statement_timeout": _STATEMENT_TIMEOUT,
            "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_TIMEOUT,
        },
    )
    async with asyncio.timeout(4 * ANSWER_SECONDS):
        await pool
        await prepare(pool)
    return pool


async def _nothing(_connection: Any) -> None:
    pass


@contextlib.contextmanager
def _unusable() -> Iterator[None]:
    """Turn failures of PostgreSQL into `StoreUnusable`."""
    try:
        yield
    except TimeoutError:
        raise StoreUnusable("the database does not answer") from None
    except ssl.SSLCertVerificationError as error:
        raise StoreUnusable(f"the database's certificate is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise StoreUnusable(f"no connection with TLS to the database: {error.reason}") from None
    except OSError as error:
        reason = error.strerror or "there is none at its address, or none with TLS"
        raise StoreUnusable(f"no connection to the database: {reason}") from None
    except (asyncpg.InternalClientError, asyncpg.ReadOnlySQLTransactionError):
        raise StoreUnusable("the database cannot be written to: it is a standby, or read-only") from None
    except asyncpg.PostgresError as error:
        hint = _POOLER_HINT if "unsupported startup parameter" in error.args[0] else ""
        raise StoreUnusable(f"the database refuses: {error.args[0]}{hint}") from None
    except (asyncpg.InterfaceError, asyncpg.ClientConfigurationError, ValueError, OverflowError):
        raise StoreUnusable("the URL has a part that cannot be used") from None


def _terminate(connection: Any) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # one that has ended is out of the pool already
        connection.terminate()


def _log_refused(error: BaseException) -> None:
    logger.error(
        "The database refused: %s",
        getattr(error, "sqlstate", None) or type(error).__name__,
        extra={"event": "store_refused"},
    )
