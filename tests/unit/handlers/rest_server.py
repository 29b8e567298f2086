"""The REST endpoints on a real port, and a client that sends and receives raw bytes."""

import asyncio
import functools
import json
from collections.abc import Callable, Mapping
from typing import Final, Self

from tornado.httputil import HTTPServerConnectionDelegate
from tornado.netutil import bind_sockets
from tornado.web import Application

from chatio.accounts.login_throttle import LoginThrottle
from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.changes import MessageChanges
from chatio.chat.presence import Presence
from chatio.chat.socket_sessions import EndReason
from chatio.chat.voices import Voices
from chatio.config.settings import Settings
from chatio.log.message_log import MessageLog
from chatio.log.shared_log import SharedLog
from chatio.moderation.deletions import Deletions
from chatio.moderation.enforcement import Enforcement
from chatio.moderation.moderation import Moderation
from chatio.server.http.accept import LimitedHTTPServer
from chatio.server.http.handler import GUARDING_HEADERS
from chatio.server.http.stream import Deadlines, Turns
from chatio.server.in_flight import InFlightRequests, UnreadAnswers
from chatio.server.lifecycle import Lifecycle
from chatio.server.serve import HTTP_SERVER_OPTIONS
from chatio.stores.accounts import RevocationStore
from chatio.stores.memory.accounts import MemoryRevocationStore, MemoryUserStore
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.memory.moderation import MemoryModerationStore
from chatio.throttling.client_ip import TrustedProxies
from chatio.throttling.rate_limiter import AddressRateLimiter, PacedLimiter, RateLimiter
from handlers.docs.endpoint import make_documents
from handlers.http.cors import Cors
from handlers.http.files import StaticFile
from handlers.http.origins import OriginPolicy
from handlers.http.services import Services
from handlers.limits import http_turns
from handlers.metrics.requests import RequestMetrics
from handlers.routes import endpoints, make_application
from tests.client.protocol import http_request
from tests.client.wire import Answer, Http
from tests.documents import Doors, chat_document
from tests.unit.load import Load

__all__ = ["KEY", "ORIGIN", "PASSWORD", "PATIENCE_SECONDS", "Answer", "Connection", "Rest", "request"]

PASSWORD = "hunting foxes"
KEY = "the key of these tests, 32 bytes or more"
ORIGIN = "http://localhost:5173"
PATIENCE_SECONDS = 30.0

# Made once: that takes three times as long as the rest of a start.
DOCUMENTS: Final = make_documents(endpoints(has_presence=True), chat_document())
DOORS: Final = Doors(json.loads(DOCUMENTS["/openapi.json"].plain))


class Connection:
    """One connection to the server. What is sent is what was written, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._http = Http(reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._http.close()

    async def send(self, data: bytes) -> None:
        self._http.writer.write(data)
        await asyncio.wait_for(self._http.writer.drain(), PATIENCE_SECONDS)

    async def receive(self, *, to_head: bool = False) -> Answer:
        return await self._http.answer(to_head=to_head)

    async def ends(self) -> bool:
        """Whether the server closes the connection without another byte. Waits for it to say one or the other."""
        try:
            return await asyncio.wait_for(self._http.reader.read(1), PATIENCE_SECONDS) == b""
        except ConnectionResetError:
            return True


class Rest:
    """A server put together as `handlers.application` does, with hashes that cost next to nothing."""

    def __init__(
        self, *, hash_queue_max: int = 256, origins: tuple[str, ...] = (ORIGIN,), load: Load | None = None
    ) -> None:
        self.hasher = PasswordHasher(max_waiting=hash_queue_max, memory_kib=8, iterations=1)
        self.users = MemoryUserStore()
        self.registry = UserRegistry(self.users, self.hasher)
        self.tokens = Tokens(KEY, ttl_seconds=3600)
        self.revocations: RevocationStore = MemoryRevocationStore()
        self.is_registration_open = True
        self.acts = RateLimiter(1, 1, is_on=False)
        self.exports = RateLimiter(1, 1, is_on=False)
        self.trail = MemoryModerationStore(self.users)
        self.origins = OriginPolicy(origins)
        self.log = MessageLog()
        self.presence = Presence()
        self.page: Mapping[str, StaticFile] = {}
        self.online: set[str] = set()  # users with a socket
        self.ended: list[tuple[str, EndReason]] = []  # users whose sockets were to be closed, and why
        self.trusted_proxies = TrustedProxies()
        self.lifecycle = Lifecycle()
        self.requests = InFlightRequests(self.lifecycle, load)
        self.logins = LoginThrottle(is_on=False)
        self.registrations = AddressRateLimiter(lambda _: RateLimiter(1, 1, is_on=False))
        self.address_requests = self.user_requests = PacedLimiter(1, is_on=False)
        self.unread = UnreadAnswers()
        self.turn: Turns = http_turns(Settings(rate_limits="off"))
        self.metrics = RequestMetrics()
        self.deadlines = Deadlines()
        self.readiness: dict[str, Callable[[], bool]] = {}
        self.servers: list[LimitedHTTPServer] = []
        self._product_port = 0

    @functools.cached_property
    def moderation(self) -> Moderation:
        enforcement = Enforcement(self.trail, self.users, self.tokens, self.revocations)
        enforcement.sockets = self
        return Moderation(self.registry, self.trail, enforcement, self.acts)

    @property
    def services(self) -> Services:
        log = SharedLog(MemoryJournal(), self.log)
        changes = MessageChanges(log, edit_seconds=60, max_chars=100, voices=Voices())
        return Services(
            lifecycle=self.lifecycle,
            requests=self.requests,
            origins=self.origins,
            cors=Cors(self.origins),
            trusted_proxies=self.trusted_proxies,
            registry=self.registry,
            tokens=self.tokens,
            revocations=self.revocations,
            log=log,
            presence=self.presence,
            moderation=self.moderation,
            deletions=Deletions(log, changes, self.moderation),
            is_registration_open=self.is_registration_open,
            logins=self.logins,
            registrations=self.registrations,
            address_requests=self.address_requests,
            user_requests=self.user_requests,
            unread=self.unread,
            turn=self.turn,
            exports=self.exports,
            end_sockets=self.end_revoked,
            readiness=self.readiness,
        )

    def application(self) -> Application:
        return make_application(
            self.services,
            page=self.page,
            documents=DOCUMENTS,
            metrics=self.metrics,
            chat=HTTPServerConnectionDelegate(),  # the chat's endpoint has tests of its own
        )

    def start(self) -> int:
        """Listen, on another port each time, with the endpoints of the product and the parts as they are now.

        Returns the port. Within the event loop.
        """
        self._product_port = self.listen(self.application())
        return self._product_port

    async def restart(self) -> None:
        """`start`, for a fixture."""
        self.start()

    async def end_revoked(self, subject: str, reason: EndReason, until: float = 0.0) -> None:
        self.ended.append((subject, reason))

    def has_any_of(self, subject: str) -> bool:
        return subject in self.online

    def listen(self, application: Application) -> int:
        server = LimitedHTTPServer(
            application,
            deadlines=self.deadlines,
            refusal_headers=lambda origin: GUARDING_HEADERS | Cors(self.origins).headers(origin),
            **HTTP_SERVER_OPTIONS,
        )
        self.listeners = sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        self.servers.append(server)
        port: int = sockets[0].getsockname()[1]
        self.port = port
        return port

    async def close(self) -> None:
        for server in self.servers:
            server.stop()
            await server.close_all_connections()
        self.hasher.close()

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port))

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request on a connection of its own; `body` is bytes as they are, or else becomes JSON.

        The answer is compared with the OpenAPI document of the server.

        Headers are named as Python names go: `Content_Type`.
        """
        async with await self.connect() as connection:
            await connection.send(request(method, path, body, **headers))
            answer = await connection.receive(to_head=method == "HEAD")
        if self.port == self._product_port:
            fault = DOORS.fault(method, path, answer.status, answer.headers, answer.body)
            assert fault is None, fault
        return answer

    async def register(self, name: str = "Ada", email: str = "ada@chat.test", password: str = PASSWORD) -> Answer:
        return await self.call("POST", "/register", {"name": name, "email": email, "password": password})

    async def sign_up(self, name: str = "Ada", email: str = "ada@chat.test") -> str:
        """A token of a new user."""
        await self.register(name, email)
        return await self.token(email)

    async def token(self, email: str = "ada@chat.test", password: str = PASSWORD) -> str:
        answer = await self.call("POST", "/login", {"email": email, "password": password})
        assert answer.status == 200
        return str(answer.json["token"])


def request(method: str, path: str, body: object = None, **headers: str) -> bytes:
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if content is not None or "Transfer_Encoding" in headers or "Expect" in headers:
        headers = {"Content_Type": "application/json", **headers}
    return http_request(method, path, content, **({"Origin": ORIGIN} | headers))
