"""The wiring: builds every part of the server from the settings, in four steps, each typed."""

from dataclasses import dataclass
from pathlib import Path

from tornado.web import Application, RequestHandler

from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.message_log import MessageLog
from chatio.chat.presence import Presence
from chatio.config.settings import Settings
from chatio.realtime import LoadShedding, RealtimeOptions, Server, create_server
from chatio.server.in_flight import InFlightRequests
from chatio.server.lifecycle import Lifecycle, Phase
from chatio.stores.memory import MemoryUserStore
from chatio.telemetry.counters import LabelledCounter
from chatio.throttling.client_ip import Network
from chatio.throttling.loop_lag import LoopLagMonitor
from chatio.throttling.request_limits import FairTurns
from handlers import limits
from handlers.chat.namespace import CLOSE_REASONS, NAMESPACE, ChatNamespace
from handlers.chat.session_expiry import SessionExpiry
from handlers.cors import Cors
from handlers.docs.asyncapi import asyncapi_document
from handlers.metrics.collector import MetricsCollector
from handlers.metrics.requests import RequestMetrics
from handlers.origins import OriginPolicy
from handlers.rest.page import read_page
from handlers.routes import make_application
from handlers.services import Services


@dataclass(frozen=True, kw_only=True)
class Core:
    """What REST and the chat share."""

    hasher: PasswordHasher
    registry: UserRegistry
    tokens: Tokens
    log: MessageLog
    presence: Presence | None  # None: off
    load: LoopLagMonitor
    lifecycle: Lifecycle
    trusted_proxies: tuple[Network, ...]
    origins: OriginPolicy


@dataclass(frozen=True, kw_only=True)
class Chat:
    """The Socket.IO server, and its one namespace."""

    server: Server
    socket_handler: type[RequestHandler]
    sessions: SessionExpiry
    namespace: ChatNamespace


@dataclass(frozen=True, kw_only=True)
class Rest:
    """The application with every endpoint, the chat's included."""

    application: Application
    requests: InFlightRequests
    metrics: RequestMetrics


def build_core(settings: Settings) -> Core:
    hasher = PasswordHasher(max_waiting=settings.hash_queue_max)
    return Core(
        hasher=hasher,
        registry=UserRegistry(MemoryUserStore(), hasher),
        tokens=Tokens(
            settings.jwt_secret_key,
            previous_key=settings.jwt_secret_key_previous,
            ttl_seconds=settings.jwt_ttl_seconds,
        ),
        log=MessageLog(max_messages=settings.log_max_messages, max_bytes=settings.log_max_bytes),
        presence=Presence() if settings.presence == "on" else None,
        load=LoopLagMonitor(settings.overload_lag_seconds),
        lifecycle=Lifecycle(),
        trusted_proxies=settings.proxies,
        origins=OriginPolicy(settings.origins),
    )


def build_chat(settings: Settings, core: Core) -> Chat:
    options = RealtimeOptions(
        namespaces=(NAMESPACE,),  # the default also serves "/", to every client and for ever
        cors_allowed_origins="*" if core.origins.allows_any else core.origins,
        trusted_proxies=core.trusted_proxies,
        ping_interval=settings.ping_interval_seconds,
        ping_timeout=settings.ping_timeout_seconds,
        admission_checks=(LoadShedding(core.load),),
        close_reasons=CLOSE_REASONS,
        lifecycle=core.lifecycle,
    )
    server, socket_handler = create_server(limits.with_connection_limits(options, settings))
    sessions = SessionExpiry(server, NAMESPACE, core.tokens)
    namespace = ChatNamespace(
        server,
        lifecycle=core.lifecycle,
        sessions=sessions,
        log=core.log,
        presence=core.presence,
        limits=limits.message_rate_limits(settings),
        message_max_chars=settings.message_max_chars,
        history_on_connect=settings.history_on_connect,
        slow_client_seconds=settings.slow_client_seconds,
        max_connections_per_person=limits.max_connections_per_person(settings),
    )
    return Chat(server=server, socket_handler=socket_handler, sessions=sessions, namespace=namespace)


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
        log=core.log,
        presence=core.presence,
        logins=limits.login_throttle(settings),
        registrations=limits.registration_limit(settings),
        turns=FairTurns(),
        address_requests=limits.address_requests(settings),
        user_requests=limits.user_requests(settings),
        unread=limits.unread_answers(settings),
        end_sockets=chat.sessions.end_revoked,
        readiness={
            "stopping": lambda: core.lifecycle.phase is not Phase.SERVING,
            "overloaded": lambda: core.load.is_on,
            "full": lambda: chat.server.eio.connection_limit.is_full,
        },
    )
    metrics = RequestMetrics()
    application = make_application(
        services,
        asyncapi=asyncapi_document(
            namespace=NAMESPACE,
            message_max_chars=settings.message_max_chars,
            has_presence=core.presence is not None,
        ),
        page=read_page(page_folder) if settings.serve_page == "on" else None,
        socket_handler=chat.socket_handler,
        metrics=metrics,
    )
    return Rest(application=application, requests=requests, metrics=metrics)


def build_metrics(core: Core, chat: Chat, rest: Rest, errors: LabelledCounter[str]) -> MetricsCollector:
    """`errors`: the log's own count of its errors."""
    return MetricsCollector(
        engine=chat.server.eio,
        chat=chat.namespace,
        log=core.log,
        hasher=core.hasher,
        load=core.load,
        requests=rest.metrics,
        errors=errors,
    )
