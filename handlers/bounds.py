"""What the settings let strangers and members do, in the words of the parts that hold them to it.

`RATE_LIMITS=off` turns off all of it but what the machine itself has no more of.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from tornado.httpserver import HTTPServer

from chatio.accounts.login_throttle import LoginThrottle
from chatio.chat.message_rates import MessageRateLimits, Rates
from chatio.config.settings import Settings
from chatio.realtime import HandshakeRate, LoadShedding, Pace
from chatio.server.connection_limit import LINES_PER_CLIENT, LimitedHTTPServer
from chatio.throttling.open_files import capacity
from chatio.throttling.rate_limiter import RateLimiter

logger = logging.getLogger("chatio")


def are_on(settings: Settings) -> bool:
    return settings.rate_limits == "on"


def of_connections(settings: Settings, busy: LoadShedding) -> dict[str, Any]:
    """How many may connect, how often, and how fast each may send, in the words of `create_server`."""
    connections, is_bounded_by_files = capacity(settings.max_connections)
    if is_bounded_by_files:
        logger.warning(
            "MAX_CONNECTIONS is %d, but the limit of open files leaves room for %d: so many are taken",
            settings.max_connections,
            connections,
            extra={"event": "few_open_files", "max_connections": connections},
        )
    if not are_on(settings):
        return {"max_connections": connections, "gates": [busy]}
    per_address = settings.max_connections_per_address
    # All that may be at one address may come back at once: an office behind one NAT, after a restart of its proxy.
    handshakes = RateLimiter(settings.connects_per_minute, 60.0, burst=per_address)
    return {
        "max_connections": connections,
        "max_connections_per_address": per_address,
        "gates": [busy, HandshakeRate(handshakes)],
        "input_pace": Pace(settings.input_bytes_per_second, settings.input_burst_bytes),
    }


def of_tcp(settings: Settings, refused: Callable[[str, str], None]) -> Callable[..., HTTPServer]:
    if not are_on(settings):
        return HTTPServer
    return partial(
        LimitedHTTPServer,
        refused=refused,
        most_per_address=LINES_PER_CLIENT * settings.max_connections_per_address,
        trusted=settings.proxies,
    )


def of_the_chat(settings: Settings) -> MessageRateLimits:
    rates = Rates(
        messages=settings.messages_per_second,
        message_burst=settings.message_burst,
        person_messages=settings.person_messages_per_second,
        person_message_burst=settings.person_message_burst,
        other_events=settings.other_events_per_second,
        flood_events=settings.flood_events,
    )
    return MessageRateLimits(rates, is_on=are_on(settings))


def of_sign_ins(settings: Settings) -> LoginThrottle:
    return LoginThrottle(
        failures_per_account=settings.login_failures_per_account,
        failures_per_address=settings.login_failures_per_address,
        logins_per_minute=settings.logins_per_minute,
        is_on=are_on(settings),
    )


def of_registrations(settings: Settings) -> RateLimiter:
    return RateLimiter(settings.registrations_per_hour, 3600, is_on=are_on(settings))


def of_pages(settings: Settings) -> int | None:
    """Connections of one person; None for any number."""
    return settings.max_connections_per_person if are_on(settings) else None
