"""The bus in PostgreSQL: LISTEN and NOTIFY, and the tables of servers and their users."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg

from chatio.stores.accounts import Ended
from chatio.stores.bus import Person, Revoked, ServerSeen, Signal
from chatio.stores.postgres.database import CONNECT_SECONDS, Database
from chatio.stores.postgres.journal import PostgresJournal
from chatio.stores.postgres.schema import APPLICATION
from chatio.stores.postgres.texts import storable
from chatio.stores.records import Record
from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio.store")

PAUSE_SECONDS: Final = 0.5  # between two attempts to listen
_SIGNALS: Final = {f"chatio_{each.value}": each for each in (Signal.REVOKED, Signal.PEOPLE, Signal.TYPING)}
_HEAD_CHANNEL: Final = "SELECT head_channel FROM chatio.log"
_BEAT: Final = "SELECT * FROM chatio.beat($1, $2)"
_LEAVE: Final = """
WITH gone AS (DELETE FROM chatio.people WHERE server = $1)
DELETE FROM chatio.servers WHERE id = $1"""
_REVOKED: Final = """
SELECT sequence, subject, token_id, before, until, reason FROM chatio.revocations WHERE sequence > $1
ORDER BY sequence"""
_PEOPLE: Final = """
SELECT user_id, user_name, is_online, version FROM chatio.people
WHERE server = $1 AND version > $2 AND (is_online OR $2 > 0)"""
_TELL_PEOPLE: Final = "SELECT chatio.tell_people($1, $2, $3, $4, $5, $6)"


class PostgresBus:
    """A `Bus`. Event loop only."""

    def __init__(self, database: Database, url: str, journal: PostgresJournal) -> None:
        self.id = secrets.token_hex(6)
        self._database = database
        self._url = url
        self._journal = journal
        self._connection: Any = None
        self._lost = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        return self._connection is not None

    async def listen(self, heard: Callable[[Signal, str], None]) -> None:
        while True:
            self._lost.clear()
            try:
                self._connection = await self._connected(heard)
                heard(Signal.LISTENING, "")
                await self._lost.wait()
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
            ):
                pass  # the beat says that the database does not answer
            except Exception as error:
                report(logger, "listening to other servers", error)
            finally:
                connection, self._connection = self._connection, None
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(PAUSE_SECONDS)

    def entries(self, text: str, *, are_taken: bool) -> tuple[int, list[Record]]:
        return self._journal.told(text, are_taken=are_taken)

    def listen_anew(self) -> None:
        self._lost.set()

    async def beat(self, name: str) -> list[ServerSeen]:
        rows = await self._database.read(lambda connection: connection.fetch(_BEAT, self.id, name))
        return [ServerSeen(*row) for row in rows]

    async def leave(self) -> None:
        await self._database.read(lambda connection: connection.execute(_LEAVE, self.id))

    async def last_revocation(self) -> int:
        query = "SELECT coalesce(max(sequence), 0) FROM chatio.revocations"
        sequence: int = await self._database.read(lambda connection: connection.fetchval(query))
        return sequence

    async def revoked_after(self, sequence: int) -> list[Revoked]:
        rows = await self._database.read(lambda connection: connection.fetch(_REVOKED, sequence))
        return [Revoked(number, Ended(*ended), reason) for number, *ended, reason in rows]

    async def tell_people(self, version: int, changed: Sequence[Person], *, is_all: bool) -> None:
        columns = [
            [storable(person.id) for person in changed],
            [storable(person.name) for person in changed],
            [person.is_online for person in changed],
        ]
        await self._database.read(
            lambda connection: connection.execute(_TELL_PEOPLE, self.id, version, is_all, *columns)
        )

    async def people_of(self, server: str, after: int) -> tuple[int, list[Person]]:
        rows = await self._database.read(lambda connection: connection.fetch(_PEOPLE, server, after))
        return max((row["version"] for row in rows), default=after), [Person(*row[:3]) for row in rows]

    async def tell_typing(self, text: str) -> None:
        query = "SELECT pg_notify('chatio_typing', $1)"
        await self._database.read(lambda connection: connection.execute(query, text))

    async def _connected(self, heard: Callable[[Signal, str], None]) -> Any:
        signals = {**_SIGNALS, f"chatio_beat_{self.id}": Signal.BEAT}

        def take(_connection: object, session: int, channel: str, text: str) -> None:
            signal = signals[channel]
            if signal is not Signal.HEAD or session not in self._journal.sessions:
                heard(signal, text)

        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            target_session_attrs="read-write",
            server_settings={"application_name": APPLICATION},
        )
        connection.add_termination_listener(lambda _: self._lost.set())
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                signals[await connection.fetchval(_HEAD_CHANNEL)] = Signal.HEAD
                for channel in signals:
                    await connection.add_listener(channel, take)
        except BaseException:
            connection.terminate()
            raise
        return connection
