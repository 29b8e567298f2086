"""The product's chat in this process, on a real port, with wire clients; and its namespace alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chatio.accounts.tokens import Tokens
from chatio.chat.changes import MessageChanges
from chatio.chat.message_rates import MessageRateLimits, Rates
from chatio.chat.voices import Voices
from chatio.config.settings import Settings
from chatio.log.shared_log import SharedLog
from chatio.realtime import Server
from chatio.stores.opening import in_memory
from handlers.application import Chat, build_chat
from handlers.chat.namespace import NAMESPACE, ChatNamespace
from handlers.chat.session_expiry import SessionExpiry
from handlers.core import Core, build_core
from tests.client.wire import Ws, join, open_ws, serving

KEY = "the key of these tests, 32 bytes or more"


@dataclass(frozen=True)
class House:
    core: Core
    chat: Chat
    port: int

    def token(self, name: str = "ann") -> str:
        return self.core.tokens.issue(subject=name, name=name, email=f"{name}@chat.test")

    async def join(self, name: str = "ann") -> Ws:
        return await join(self.port, "/chat", {"token": self.token(name)})

    async def open(self) -> Ws:
        """A connection that is in no namespace."""
        return await open_ws(self.port)


def make_namespace(server: Server, log: SharedLog, tokens: Tokens, **options: Any) -> ChatNamespace:
    """The namespace at `server`; `options`: those of `ChatNamespace` that differ from these."""
    chosen: dict[str, Any] = {
        "lifecycle": server.eio.lifecycle,
        "sessions": SessionExpiry(server, NAMESPACE, tokens),
        "changes": MessageChanges(log, edit_seconds=900, max_chars=100, voices=Voices()),
        "voices": Voices(),
        "accounts": None,
        "cluster": None,
        "presence": None,
        "limits": MessageRateLimits(Rates()),
        "message_max_chars": 100,
        "history_on_connect": 0,
        "slow_client_seconds": 30,
        "max_connections_per_person": None,
    }
    return ChatNamespace(server, log=log, **chosen | options)


@asynccontextmanager
async def chat_house(**settings: Any) -> AsyncIterator[House]:
    """`settings`: those that differ from these, under which nothing but what a test is about is limited."""
    chosen = Settings(**({"jwt_secret_key": KEY, "presence": "off"} | settings))
    stores = in_memory(max_messages=chosen.log_max_messages, max_bytes=chosen.log_max_bytes)
    core = await build_core(chosen, stores)
    chat = build_chat(chosen, core)
    try:
        async with serving(chat.endpoint) as port:
            yield House(core, chat, port)
    finally:
        core.hasher.close()
