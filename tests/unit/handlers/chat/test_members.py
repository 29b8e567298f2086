"""With a database, a client joins only if its user has an account; the look-up takes a moment."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.presence import Presence
from chatio.errors import StoreUnavailable
from chatio.log.message_log import MessageLog
from chatio.log.shared_log import SharedLog
from chatio.realtime import RealtimeOptions, Server, create_server
from chatio.stores.accounts import User
from chatio.stores.memory.accounts import MemoryUserStore
from chatio.stores.memory.journal import MemoryJournal
from handlers.chat.namespace import CLOSE_REASONS, NAMESPACE, ChatNamespace
from tests.client.wire import Ws, leftovers, open_ws, serving, until
from tests.contract.user_store import ADA
from tests.unit.handlers.chat.chat_server import make_namespace


class SlowUserStore(MemoryUserStore):
    """Answers when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def get(self, user_id: str) -> User | None:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await super().get(user_id)


class Chat(NamedTuple):
    server: Server
    namespace: ChatNamespace
    store: SlowUserStore
    tokens: Tokens
    presence: Presence
    port: int

    async def asking(self, user_id: str) -> Ws:
        """A client of this user whose account is being looked up."""
        ws = await open_ws(self.port)
        token = self.tokens.issue(subject=user_id, name="Ada", email="ada@chat.test")
        ws.send(f"40{NAMESPACE},{json.dumps({'token': token})}")
        await until(lambda: self.store.asked)
        return ws


@asynccontextmanager
async def chat() -> AsyncIterator[Chat]:
    server, handler = create_server(RealtimeOptions(close_reasons=CLOSE_REASONS))
    store, tokens, presence = SlowUserStore(), Tokens("k" * 32, ttl_seconds=60), Presence()
    hasher = PasswordHasher(memory_kib=8, iterations=1)
    await store.add(ADA)
    log = SharedLog(MemoryJournal(), MessageLog())
    namespace = make_namespace(server, log, tokens, presence=presence, accounts=UserRegistry(store, hasher))
    async with serving(handler) as port:
        yield Chat(server, namespace, store, tokens, presence, port)
        await until(lambda: not leftovers(server))
    assert (namespace.members.people, len(presence)) == (0, 0)
    hasher.close()


async def test_a_client_with_an_account_joins() -> None:
    async with chat() as here:
        ws = await here.asking(ADA.id)
        here.store.gate.set()
        assert str(await ws.receive()).startswith("40/chat,")
        assert here.namespace.members.people == 1
        ws.close()


async def test_a_client_without_an_account_is_refused() -> None:
    async with chat() as here:
        ws = await here.asking("stranger")
        here.store.gate.set()
        refusal = json.loads(str(await ws.receive()).removeprefix("44/chat,"))
        assert refusal == {"message": "jwt revoked", "data": {"code": "token_revoked"}}
        ws.close()


async def test_a_token_that_is_revoked_during_the_look_up_is_refused() -> None:
    async with chat() as here:
        ws = await here.asking(ADA.id)
        here.tokens.end(here.tokens.ending_all(ADA.id))
        here.store.gate.set()
        assert "token_revoked" in str(await ws.receive())
        ws.close()


async def test_a_client_joins_while_the_database_does_not_answer() -> None:
    async with chat() as here:
        ws = await here.asking(ADA.id)
        here.store.error = StoreUnavailable(retry_after_seconds=2)
        here.store.gate.set()
        assert str(await ws.receive()).startswith("40/chat,")
        ws.close()


@pytest.mark.parametrize("user_id", [ADA.id, "stranger"])
async def test_a_client_that_leaves_during_the_look_up_leaves_nothing(user_id: str) -> None:
    async with chat() as here:
        ws = await here.asking(user_id)
        ws.cut()
        await until(lambda: all(connection.closing for connection in here.server.eio.sockets.values()))
        here.store.gate.set()
