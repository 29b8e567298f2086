"""The settings' limits, in the terms of the parts that apply them.

`RATE_LIMITS=off` turns off every limit but those of the machine itself.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tornado.httpserver import HTTPServer

from chatio.accounts.login_throttle import LoginThrottle
from chatio.chat.message_rates import MessageRateLimits, Rates
from chatio.config.settings import Settings
from chatio.realtime import CloseReason, Endpoint, RealtimeOptions, handshake_rate
from chatio.server.http.accept import CONNECTIONS_PER_CLIENT, Full, LimitedHTTPServer
from chatio.server.http.handler import GUARDING_HEADERS
from chatio.server.http.held_input import HeldInput
from chatio.server.http.stream import Deadlines, Turns
from chatio.server.in_flight import UnreadAnswers
from chatio.throttling.client_ip import TrustedProxies
from chatio.throttling.input_budget import Allowance, BudgetPool
from chatio.throttling.open_files import SPARE_FILES, capacity, most_open_files
from chatio.throttling.rate_limiter import AddressRateLimiter, PacedLimiter, RateLimiter
from handlers.http.cors import Cors
from handlers.http.origins import OriginPolicy

logger = logging.getLogger("chatio")

# The part of all connections that one address may have where there are few files: another address finds room.
CHAT_ADDRESS_SHARE = 2
TCP_ADDRESS_SHARE = 4

# HTTP requests, before they are parsed: one has 60 steps of about 3 µs. An office of a hundred pages that load at
# once has 3,000 requests at once, and all requests together half of the event loop, 2 ms of it in one go. Half of
# that is for new addresses: when they had all, a user who polls waited for 4 s behind a hundred logins at once.
HTTP = Allowance(steps=150_000, steps_at_once=600, address_steps=30_000, client_steps=0, light_share=0.5)

TCP_FULL = {
    Full.ADDRESS: CloseReason("address_full", "too many TCP connections from one address"),
    Full.SERVER: CloseReason("full", "too many TCP connections"),
}


def are_on(settings: Settings) -> bool:
    return settings.rate_limits == "on"


def with_connection_limits(options: RealtimeOptions, settings: Settings) -> RealtimeOptions:
    """`options` with the limits of chat connections: how many, how often, and how fast each may send."""
    connections, is_bounded_by_files = capacity(settings.max_connections)
    if is_bounded_by_files:
        logger.warning(
            "MAX_CONNECTIONS is %d, but the limit of open files has room for %d only: so many are accepted",
            settings.max_connections,
            connections,
            extra={"event": "few_open_files", "max_connections": connections},
        )
    options = replace(options, max_connections=connections)
    if not are_on(settings):
        return options
    per_address = settings.max_connections_per_address
    if is_bounded_by_files:
        per_address = min(per_address, max(1, connections // CHAT_ADDRESS_SHARE))
    # All clients at one address may reconnect at once: an office behind one NAT, after a restart of its proxy.
    handshakes = RateLimiter(settings.connects_per_minute, 60.0, burst=per_address)
    return replace(
        options,
        max_connections_per_address=per_address,
        admission_checks=(*options.admission_checks, handshake_rate(handshakes)),
        input_bytes_per_second=settings.input_bytes_per_second,
        input_burst_bytes=settings.input_burst_bytes,
    )


def http_turns(settings: Settings) -> Turns:
    """The input budget of HTTP requests: before they are parsed, and before handlers that work much."""
    return BudgetPool(HTTP, is_on=are_on(settings)).turn


def http_server_factory(
    settings: Settings, trusted: TrustedProxies, endpoint: Endpoint, origins: OriginPolicy, turns: Turns
) -> Callable[..., HTTPServer]:
    """A function that makes the HTTP server, with its limits of TCP connections and its deadlines.

    TCP connections may open the files that neither chat connections nor anything else needs. A polling client
    counts twice.
    """
    files, engine = most_open_files() - SPARE_FILES, endpoint.engine
    wished = CONNECTIONS_PER_CLIENT * settings.max_connections_per_address
    per_address = min(wished, max(1, files // TCP_ADDRESS_SHARE)) if are_on(settings) else None
    cors = Cors(origins)
    return partial(
        LimitedHTTPServer,
        most_per_address=per_address,
        files=files,
        others=engine.connection_limit,
        refused=lambda address, reason: engine.refused(address, TCP_FULL[reason]),
        trusted=trusted,
        endpoint=endpoint,
        turns=turns,
        held=HeldInput(is_on=are_on(settings)),
        deadlines=Deadlines(idle=settings.keep_alive_seconds),
        refusal_headers=lambda origin: GUARDING_HEADERS | cors.headers(origin),
    )


def message_rate_limits(settings: Settings) -> MessageRateLimits:
    rates = Rates(
        messages=settings.messages_per_second,
        message_burst=settings.message_burst,
        person_messages=settings.person_messages_per_second,
        person_message_burst=settings.person_message_burst,
        other_events=settings.other_events_per_second,
        flood_events=settings.flood_events,
    )
    return MessageRateLimits(rates, is_on=are_on(settings))


def login_throttle(settings: Settings, clock: Callable[[], float]) -> LoginThrottle:
    return LoginThrottle(
        failures_per_account=settings.login_failures_per_account,
        failures_per_address=settings.login_failures_per_address,
        logins_per_minute=settings.logins_per_minute,
        is_on=are_on(settings),
        clock=clock,
    )


def registration_limit(settings: Settings) -> AddressRateLimiter:
    return AddressRateLimiter(
        lambda times: RateLimiter(times * settings.registrations_per_hour, 3600, is_on=are_on(settings))
    )


def acts_of_moderation(settings: Settings) -> RateLimiter:
    """The rate limit of a moderator's acts: 60 at once, to delete the messages of a flood."""
    return RateLimiter(1, 1, burst=60, is_on=are_on(settings))


def exports(settings: Settings) -> RateLimiter:
    """The rate limit of a user's exports, each of which reads the whole log."""
    return RateLimiter(4, 3600, is_on=are_on(settings))


def address_requests(settings: Settings) -> PacedLimiter:
    return PacedLimiter(settings.requests_per_minute, is_on=are_on(settings))


def user_requests(settings: Settings) -> PacedLimiter:
    return PacedLimiter(settings.person_requests_per_minute, is_on=are_on(settings))


def unread_answers(settings: Settings) -> UnreadAnswers:
    return UnreadAnswers() if are_on(settings) else UnreadAnswers(most_per_address=None, most_per_user=None)


def max_connections_per_person(settings: Settings) -> int | None:
    return settings.max_connections_per_person if are_on(settings) else None
