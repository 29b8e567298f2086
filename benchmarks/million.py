"""What a million messages in the database cost: the start, memory, pages of the history, a join.

    python -m benchmarks.million [MESSAGES]

Prints a table: each database, empty and with so many messages of 200 bytes. A page is GET /messages with 100
messages; a join is a connection with the 50 messages of HISTORY_ON_CONNECT. Both are medians.
"""

import asyncio
import contextlib
import http.client
import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.databases import database, fill_postgres, fill_sqlite
from benchmarks.launch import OWN_COMMAND, Server, commands, running
from benchmarks.load.connecting import joined
from benchmarks.load.wire import TEXT_BYTES, user_id, user_name, user_token
from benchmarks.plan import OURS, SQLITE, STORES
from benchmarks.procfs import memory_kib

COLUMNS = ("number", "id", "content", "author_id", "author_name", "timestamp", "sent_at")
REPEATS = 50
HISTORY = 50
PAGE = 100


def main(messages: int) -> None:
    print("| database | messages | start, s | memory, MiB | first page, ms | middle | last | join, ms |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    for store in STORES:
        for count in (0, messages):
            with database(store) as url:
                fill(url, count)
                print(f"| {store} | {count:,} | {' | '.join(measured(url, count))} |", flush=True)


def fill(url: str, count: int) -> None:
    """Put `count` messages into the empty database at `url`."""
    head = "UPDATE {} SET head = {}"
    if url.startswith(SQLITE):
        path = Path(url.removeprefix("sqlite:///"))
        fill_sqlite(path, "messages", COLUMNS, _rows(count))
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(head.format("log", count))
    else:
        asyncio.run(fill_postgres(url, "messages", COLUMNS, _rows(count)))
        asyncio.run(_execute(url, head.format("chatio.log", count)))


def measured(url: str, count: int) -> Iterator[str]:
    """The cells of a row."""
    started = time.perf_counter()
    command = commands(OWN_COMMAND, None)[OURS]
    with running("million", command, DATABASE_URL=url, HISTORY_ON_CONNECT=str(HISTORY)) as server:
        yield f"{time.perf_counter() - started:.2f}"
        yield f"{memory_kib(server.pid) / 1024:.0f}"
        newest = _get(server, "?limit=1")["messages"]
        epoch, _, digits = newest[0]["offset"].rpartition("-") if newest else ("", "", "")
        for number in (PAGE + 1, count // 2 + 1, None):
            before = f"&before={epoch}-{number:0{len(digits)}x}" if newest and number else ""
            query = f"?limit={PAGE}{before}"
            assert len(_get(server, query)["messages"]) == min(PAGE, count)
            yield milliseconds(partial(_get, server, query))
        yield milliseconds(lambda: _join(server, count))


def milliseconds(call: Callable[[], object]) -> str:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return f"{statistics.median(times) * 1e3:.1f}"


def _get(server: Server, query: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    token = user_token(server.secret, 1)
    connection.request("GET", f"/messages{query}", headers={"Authorization": f"Bearer {token}"})
    answer = json.load(connection.getresponse())
    connection.close()
    return answer


def _join(server: Server, count: int) -> None:
    stream = joined(server.port, server.secret, 1)
    for _ in range(min(HISTORY, count)):
        assert stream.frame().startswith(b"42/chat,")
    stream.sock.close()


def _rows(count: int) -> Iterator[tuple[Any, ...]]:
    authors = [(user_id(number), user_name(number)) for number in range(1000)]
    for number in range(1, count + 1):
        author = authors[number % len(authors)]
        text = f"message {number} ".ljust(TEXT_BYTES, "x")
        yield (number, f"{number * 7919 % 2**32:08x}-{number}", text, *author, "10:32", "2026-01-01T00:00:00.000Z")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
