"""python-socketio's own clients, synchronous (requests, websocket-client) and asyncio (aiohttp).

Neither keeps a `pid`: to the server, a client that reconnects is new, and receives the newest messages again.
"""

import asyncio
import gc
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import socketio

from tests.system.durable import DurableServer
from tests.system.server import PATIENCE_SECONDS

CHAT = "/chat"
TRANSPORTS = (["websocket"], ["polling"], ["polling", "websocket"])
OPTIONS: dict[str, Any] = {"reconnection_delay": 0.1, "reconnection_delay_max": 0.2, "randomization_factor": 0}
HISTORY, BURST, KEPT = 40, 50, 50  # KEPT: the default of HISTORY_ON_CONNECT

# At each reconnect the libraries leave the old connection's socket and session to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:[uU]nclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def nothing_of_the_libraries_is_left() -> Iterator[None]:
    yield
    gc.collect()


class SyncClient:
    """The synchronous client; what it receives is in queues."""

    def __init__(self) -> None:
        self.socket = self.make()
        self.connected: queue.Queue[None] = queue.Queue()
        self.received: queue.Queue[tuple[dict[str, Any], str]] = queue.Queue()
        self.acks: queue.Queue[dict[str, Any]] = queue.Queue()
        self.socket.on("connect", self.connect_event, namespace=CHAT)
        self.socket.on("receive-message", self.receive_event, namespace=CHAT)

    def make(self) -> Any:
        return socketio.Client(**OPTIONS)

    def run(self, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return method(*args, **named)

    def connect_event(self) -> None:
        self.connected.put(None)

    def receive_event(self, message: dict[str, Any], offset: str) -> None:
        self.received.put((message, offset))

    def join(self, url: str, token: str, transports: list[str]) -> None:
        named = {"auth": {"token": token}, "namespaces": [CHAT], "transports": transports}
        self.run(self.socket.connect, url, wait_timeout=PATIENCE_SECONDS, **named)
        self.await_connect()

    def await_connect(self) -> None:
        self.connected.get(timeout=PATIENCE_SECONDS)

    def say(self, contents: list[str]) -> None:
        """Send all messages at once, and wait for all acks."""
        for content in contents:
            message = {"id": str(uuid.uuid4()), "content": content}
            self.run(self.socket.emit, "send-message", message, namespace=CHAT, callback=self.acks.put)
        acks = [self.acks.get(timeout=PATIENCE_SECONDS) for _ in contents]
        assert all(ack["ok"] for ack in acks), acks

    def contents(self, count: int) -> list[str]:
        """The next `count` messages, by their offsets: the library handles each event by itself, in any order."""
        taken = [self.received.get(timeout=PATIENCE_SECONDS) for _ in range(count)]
        assert len({offset for _, offset in taken}) == count
        return [message["content"] for message, _ in sorted(taken, key=lambda pair: pair[1])]

    @property
    def transport(self) -> str:
        return str(self.socket.transport())

    def close(self) -> None:
        self.run(self.socket.disconnect)


class AsyncClient(SyncClient):
    """The asyncio client, on a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        super().__init__()

    def make(self) -> Any:
        return socketio.AsyncClient(**OPTIONS)

    def run(self, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(method(*args, **named), self.loop).result(PATIENCE_SECONDS)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()


@contextmanager
def joined(kind: type[SyncClient], url: str, token: str, transports: list[str]) -> Iterator[SyncClient]:
    with closing(kind()) as client:
        client.join(url, token, transports)
        yield client


@pytest.mark.direct("the clients do not trust the certificate of the tests")
@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
@pytest.mark.parametrize("kind", [SyncClient, AsyncClient])
def test_client_has_its_history_and_burst_and_comes_back_after_each_restart(
    tmp_path: Path, kind: type[SyncClient], transports: list[str]
) -> None:
    history = [f"history {number}" for number in range(HISTORY)]
    burst = [f"burst {number}" for number in range(BURST)]
    with DurableServer(f"sqlite:///{tmp_path}/chat.db") as server:
        ann = server.process.sign_up("ann")
        with joined(kind, server.url, ann, transports) as earlier:
            earlier.say(history)
        with joined(kind, server.url, ann, transports) as client:
            assert client.transport == transports[-1]
            assert client.contents(HISTORY) == history
            client.say(burst)
            assert client.contents(BURST) == burst
            said = history + burst
            for restart in (server.restart, server.kill_and_start):
                restart()
                client.await_connect()
                assert client.contents(KEPT) == said[-KEPT:]
                client.say([restart.__name__])
                assert client.contents(1) == [restart.__name__]
                said.append(restart.__name__)


@pytest.mark.direct("the clients do not trust the certificate of the tests")
@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
@pytest.mark.parametrize("kind", [SyncClient, AsyncClient])
def test_client_comes_back_after_the_server_has_closed_its_connection(
    tmp_path: Path, kind: type[SyncClient], transports: list[str]
) -> None:
    """On polling too, where a CLOSE in the answer of its GET would keep it away."""
    with (
        DurableServer(f"sqlite:///{tmp_path}/chat.db") as server,
        joined(kind, server.url, server.process.sign_up("ann"), transports) as client,
    ):
        client.run(client.socket.emit, "send-message", {"content": float("nan")}, namespace=CHAT)
        client.await_connect()
        client.say(["back"])
