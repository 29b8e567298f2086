"""The wiring: builds every part of the server from the settings, in four steps, each typed."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tornado.web import Application

from chatio.accounts.login_throttle import LoginThrottle
from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.throttle_saver import ThrottleSaver, steady_clock
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.batches import STORE_TROUBLES
from chatio.chat.changes import MessageChanges
from chatio.chat.cluster import Cluster
from chatio.chat.presence import Presence
from chatio.chat.shared_log import SharedLog, open_log
from chatio.config.settings import Settings
from chatio.errors import Temporary, answer_to
from chatio.moderation.deletions import Deletions
from chatio.moderation.enforcement import ENDINGS, Enforcement
from chatio.moderation.moderation import Moderation
from chatio.moderation.operator import Operator
from chatio.realtime import Endpoint, RealtimeOptions, Server, create_server, load_shedding
from chatio.server.in_flight import InFlightRequests
from chatio.server.lifecycle import Lifecycle, Phase
from chatio.stores.accounts import Ended, RevocationStore
from chatio.stores.errors import StoreUnusable
from chatio.stores.opening import Stores, in_memory, open_stores
from chatio.telemetry.log_handler import LogHandler
from chatio.throttling.client_ip import TrustedProxies
from chatio.throttling.loop_lag import LoopLagMonitor
from handlers import limits
from handlers.chat.clients import ChatClients
from handlers.chat.namespace import CLOSE_REASONS, NAMESPACE, ChatNamespace
from handlers.chat.session_expiry import SessionExpiry
from handlers.cors import Cors
from handlers.docs.asyncapi import asyncapi_document
from handlers.docs.endpoint import read_viewer
from handlers.metrics.collector import MetricsCollector
from handlers.metrics.requests import RequestMetrics
from handlers.origins import OriginPolicy
from handlers.rest.page import read_page
from handlers.routes import make_application
from handlers.services import Services

logger = logging.getLogger("chatio")


@dataclass(frozen=True, kw_only=True)
class Core:
    """What REST and the chat share."""

    hasher: PasswordHasher
    registry: UserRegistry
    tokens: Tokens
    revocations: RevocationStore
    logins: LoginThrottle
    throttle_saver: ThrottleSaver
    log: SharedLog
    cluster: Cluster | None  # None: there can be no other server
    changes: MessageChanges
    presence: Presence | None  # None: off
    load: LoopLagMonitor
    lifecycle: Lifecycle
    trusted_proxies: TrustedProxies
    origins: OriginPolicy
    enforcement: Enforcement
    moderation: Moderation
    deletions: Deletions

    @property
    def operator(self) -> Operator:
        return Operator(self.registry, self.moderation, self.deletions, self.logins)


@dataclass(frozen=True, kw_only=True)
class Chat:
    """The Socket.IO server, and its one namespace."""

    server: Server
    clients: ChatClients
    endpoint: Endpoint
    sessions: SessionExpiry
    namespace: ChatNamespace


@dataclass(frozen=True, kw_only=True)
class Rest:
    """The application with every endpoint, the chat's included."""

    application: Application
    requests: InFlightRequests
    metrics: RequestMetrics


@asynccontextmanager
async def opened_stores(settings: Settings, folder: Path) -> AsyncIterator[Stores]:
    """The stores that DATABASE_URL names, until the end; a relative path is below `folder`.

    Raises `StoreUnusable`.
    """
    if settings.database_url:
        stores = await open_stores(settings.database_url, folder=folder)
        place = f"in {'SQLite' if settings.database_url.startswith('sqlite') else 'PostgreSQL'}"
    else:
        stores = in_memory(max_messages=settings.log_max_messages, max_bytes=settings.log_max_bytes)
        place = "in memory, and end with this process (DATABASE_URL is not set)"
    logger.info("Accounts and messages are kept %s", place, extra={"event": "store_opened"})
    try:
        yield stores
    finally:
        await stores.close()


async def build_core(settings: Settings, stores: Stores) -> Core:
    """Raises `StoreUnusable`."""
    hasher = PasswordHasher(max_waiting=settings.hash_queue_max)
    tokens = Tokens(
        settings.jwt_secret_key,
        previous_key=settings.jwt_secret_key_previous,
        ttl_seconds=settings.jwt_ttl_seconds,
    )
    clock = steady_clock()
    logins = limits.login_throttle(settings, clock)
    throttle_saver = ThrottleSaver(stores.logins, logins, clock=clock)
    try:
        log = await open_log(
            stores.journal,
            max_messages=settings.log_max_messages,
            max_bytes=settings.log_max_bytes,
            queue_max=settings.store_queue_max,
            broken=stores.broken,
        )
        cluster = None
        if stores.bus is not None:
            last = (
                await stores.bus.last_revocation()
            )  # before they are read: one that comes meanwhile is read again
            cluster = Cluster(stores.bus, settings.server_name, log.follower, revoked=last)
        tokens.restore(await stores.revocations.all(time.time()))
        enforcement = Enforcement(stores.moderation, stores.users, tokens, stores.revocations)
        await enforcement.open()
        await throttle_saver.restore()
    except Temporary as error:
        raise StoreUnusable(answer_to(error).message) from None
    registry = UserRegistry(stores.users, hasher)
    changes = MessageChanges(
        log,
        edit_seconds=settings.edit_seconds,
        max_chars=settings.message_max_chars,
        voices=enforcement.voices,
    )
    moderation = Moderation(registry, stores.moderation, enforcement, limits.acts_of_moderation(settings))
    return Core(
        hasher=hasher,
        registry=registry,
        tokens=tokens,
        revocations=stores.revocations,
        logins=logins,
        throttle_saver=throttle_saver,
        log=log,
        cluster=cluster,
        changes=changes,
        presence=Presence() if settings.presence == "on" else None,
        load=LoopLagMonitor(settings.overload_lag_seconds),
        lifecycle=Lifecycle(),
        trusted_proxies=settings.proxies,
        origins=OriginPolicy(settings.origins),
        enforcement=enforcement,
        moderation=moderation,
        deletions=Deletions(log, changes, moderation),
    )


def build_chat(settings: Settings, core: Core) -> Chat:
    options = RealtimeOptions(
        server_name=settings.server_name,
        namespaces=(NAMESPACE,),  # the default also serves "/", to every client and for ever
        takes_binary=False,  # no event of the chat has attachments
        cors_allowed_origins="*" if core.origins.allows_any else core.origins,
        trusted_proxies=core.trusted_proxies,
        ping_interval=settings.ping_interval_seconds,
        ping_timeout=settings.ping_timeout_seconds,
        admission_checks=(load_shedding(core.load),),
        close_reasons=CLOSE_REASONS,
        lifecycle=core.lifecycle,
    )
    server, endpoint = create_server(limits.with_connection_limits(options, settings))
    sessions = SessionExpiry(server, NAMESPACE, core.tokens)
    core.enforcement.sockets = sessions
    namespace = ChatNamespace(
        server,
        lifecycle=core.lifecycle,
        sessions=sessions,
        log=core.log,
        changes=core.changes,
        presence=core.presence,
        cluster=core.cluster,
        limits=limits.message_rate_limits(settings),
        message_max_chars=settings.message_max_chars,
        history_on_connect=settings.history_on_connect,
        slow_client_seconds=settings.slow_client_seconds,
        max_connections_per_person=limits.max_connections_per_person(settings),
        accounts=core.registry if core.log.is_durable else None,
        voices=core.enforcement.voices,
    )
    if core.cluster is not None:
        core.cluster.revocations.on_revoked = partial(_ended_elsewhere, core.enforcement, sessions)
    clients = ChatClients(server, core.log)
    return Chat(server=server, clients=clients, endpoint=endpoint, sessions=sessions, namespace=namespace)


def build_rest(settings: Settings, core: Core, chat: Chat, *, page_folder: Path) -> Rest:
    """Raises what `make_application` raises, and OSError for a page that cannot be read."""
    requests = InFlightRequests(core.lifecycle, core.load)
    services = Services(
        lifecycle=core.lifecycle,
        requests=requests,
        origins=core.origins,
        cors=Cors(core.origins),
        trusted_proxies=core.trusted_proxies,
        registry=core.registry,
        tokens=core.tokens,
        revocations=core.revocations,
        log=core.log,
        cluster=core.cluster,
        presence=core.presence,
        moderation=core.moderation,
        deletions=core.deletions,
        is_registration_open=settings.registration == "open",
        logins=core.logins,
        registrations=limits.registration_limit(settings),
        address_requests=limits.address_requests(settings),
        user_requests=limits.user_requests(settings),
        unread=limits.unread_answers(settings),
        exports=limits.exports(settings),
        end_sockets=chat.sessions.end_revoked,
        readiness={
            "stopping": lambda: core.lifecycle.phase is not Phase.SERVING,
            "stalled": lambda: chat.namespace.fanout.is_stalled,
            "overloaded": lambda: core.load.is_on,
            "deaf": lambda: core.cluster is not None and core.cluster.is_deaf,
            "full": lambda: chat.server.eio.connection_limit.is_full,
            **{reason: partial(_is_store, core.log, reason) for reason in STORE_TROUBLES},
        },
    )
    metrics = RequestMetrics()
    chat.endpoint.answered = partial(metrics.answered, chat.endpoint.path)
    application = make_application(
        services,
        asyncapi=asyncapi_document(
            namespace=NAMESPACE,
            message_max_chars=settings.message_max_chars,
            has_presence=core.presence is not None,
        ),
        page=read_page(page_folder) if settings.serve_page == "on" else {},
        viewer=read_viewer(page_folder),
        chat=chat.endpoint,
        metrics=metrics,
    )
    return Rest(application=application, requests=requests, metrics=metrics)


async def _ended_elsewhere(enforcement: Enforcement, sessions: SessionExpiry, ended: Ended, reason: str) -> None:
    if reason in ENDINGS.values():  # the audit trail has the act, and says until when
        with suppress(Temporary):
            await enforcement.catch_up()
    await sessions.end_elsewhere_revoked(ended, reason)


def _is_store(log: SharedLog, reason: str) -> bool:
    return log.trouble == reason


def build_metrics(core: Core, chat: Chat, rest: Rest, log_handler: LogHandler) -> MetricsCollector:
    return MetricsCollector(
        engine=chat.server.eio,
        chat=chat.namespace,
        log=core.log,
        cluster=core.cluster,
        hasher=core.hasher,
        load=core.load,
        requests=rest.metrics,
        log_handler=log_handler,
    )
