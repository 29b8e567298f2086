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
from chatio.realtime import CloseReason, HandshakeRate, RealtimeOptions
from chatio.server.accept import CONNECTIONS_PER_CLIENT, LimitedHTTPServer
from chatio.server.unread import UnreadAnswers
from chatio.throttling.client_ip import Network
from chatio.throttling.open_files import capacity
from chatio.throttling.rate_limiter import RateLimiter

logger = logging.getLogger("chatio")

TCP_CONNECTIONS_FULL = CloseReason("address_full", "too many TCP connections from one address")


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
    # All clients at one address may reconnect at once: an office behind one NAT, after a restart of its proxy.
    handshakes = RateLimiter(settings.connects_per_minute, 60.0, burst=per_address)
    return replace(
        options,
        max_connections_per_address=per_address,
        admission_checks=(*options.admission_checks, HandshakeRate(handshakes)),
        input_bytes_per_second=settings.input_bytes_per_second,
        input_burst_bytes=settings.input_burst_bytes,
    )


def http_server_factory(
    settings: Settings, trusted: tuple[Network, ...], refused: Callable[[str, CloseReason], None]
) -> Callable[..., HTTPServer]:
    """The class of the HTTP server, or what makes one that limits TCP connections per address."""
    if not are_on(settings):
        return HTTPServer
    return partial(
        LimitedHTTPServer,
        refused=lambda address: refused(address, TCP_CONNECTIONS_FULL),
        most_per_address=CONNECTIONS_PER_CLIENT * settings.max_connections_per_address,
        trusted=trusted,
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


def login_throttle(settings: Settings) -> LoginThrottle:
    return LoginThrottle(
        failures_per_account=settings.login_failures_per_account,
        failures_per_address=settings.login_failures_per_address,
        logins_per_minute=settings.logins_per_minute,
        is_on=are_on(settings),
    )


def registration_limit(settings: Settings) -> RateLimiter:
    return RateLimiter(settings.registrations_per_hour, 3600, is_on=are_on(settings))


def address_requests(settings: Settings) -> RateLimiter:
    return _requests_per_minute(settings, settings.requests_per_minute)


def user_requests(settings: Settings) -> RateLimiter:
    return _requests_per_minute(settings, settings.person_requests_per_minute)


def _requests_per_minute(settings: Settings, most: int) -> RateLimiter:
    return RateLimiter(most, 60, burst=most / 2, is_on=are_on(settings))


def unread_answers(settings: Settings) -> UnreadAnswers:
    return UnreadAnswers() if are_on(settings) else UnreadAnswers(most_per_address=None, most_per_user=None)


def max_connections_per_person(settings: Settings) -> int | None:
    return settings.max_connections_per_person if are_on(settings) else None
