"""The wiring: builds the chat, REST and the metrics on the core, each typed."""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tornado.web import Application

from chatio.config.settings import Settings
from chatio.errors import Temporary
from chatio.log.batches import STORE_TROUBLES
from chatio.log.shared_log import SharedLog
from chatio.moderation.enforcement import ENDINGS, Enforcement
from chatio.realtime import Endpoint, RealtimeOptions, Server, create_server, load_shedding
from chatio.server.http.stream import Turns
from chatio.server.in_flight import InFlightRequests
from chatio.server.lifecycle import Phase
from chatio.stores.accounts import Ended
from chatio.telemetry.log_handler import LogHandler
from handlers import limits
from handlers.chat.clients import ChatClients
from handlers.chat.namespace import CLOSE_REASONS, NAMESPACE, ChatNamespace
from handlers.chat.session_expiry import SessionExpiry
from handlers.core import Core
from handlers.docs.asyncapi import asyncapi_document
from handlers.docs.endpoint import make_documents, read_viewer
from handlers.http.cors import Cors
from handlers.http.services import Services
from handlers.metrics.collector import MetricsCollector
from handlers.metrics.requests import RequestMetrics
from handlers.rest.page import no_page, read_page
from handlers.routes import endpoints, make_application


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
    turns: Turns
    metrics: RequestMetrics


def build_chat(settings: Settings, core: Core) -> Chat:
    options = RealtimeOptions(
        server_name=settings.server_name,
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
    """Raises what `make_documents` and `make_application` raise, and OSError for a page that cannot be read."""
    requests, turns = InFlightRequests(core.lifecycle, core.load), limits.http_turns(settings)
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
        turn=turns,
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
    has_presence = core.presence is not None
    asyncapi = asyncapi_document(
        namespace=NAMESPACE, message_max_chars=settings.message_max_chars, has_presence=has_presence
    )
    documents = make_documents(endpoints(has_presence=has_presence), asyncapi)
    application = make_application(
        services,
        page=read_page(page_folder) if settings.serve_page == "on" else no_page(),
        documents=read_viewer(page_folder) | documents,
        chat=chat.endpoint,
        metrics=metrics,
    )
    return Rest(application=application, requests=requests, turns=turns, metrics=metrics)


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
