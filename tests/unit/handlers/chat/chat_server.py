"""The product's chat in this process, on a real port, with wire clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chatio.config.settings import Settings
from chatio.stores.opening import in_memory
from handlers.application import Chat, build_chat
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
