"""The wiring of what REST, the chat and the operator's commands share: the stores, and the rules above them."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chatio.accounts.login_throttle import LoginThrottle
from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.throttle_saver import ThrottleSaver, steady_clock
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.changes import MessageChanges
from chatio.chat.presence import Presence
from chatio.cluster.cluster import Cluster
from chatio.config.settings import Settings
from chatio.errors import Temporary, answer_to
from chatio.log.shared_log import SharedLog, open_log
from chatio.moderation.deletions import Deletions
from chatio.moderation.enforcement import Enforcement
from chatio.moderation.moderation import Moderation
from chatio.moderation.operator import Operator
from chatio.server.lifecycle import Lifecycle
from chatio.stores.accounts import RevocationStore
from chatio.stores.errors import StoreUnusable
from chatio.stores.opening import Stores, in_memory, open_stores
from chatio.throttling.client_ip import TrustedProxies
from chatio.throttling.loop_lag import LoopLagMonitor
from handlers import limits
from handlers.http.origins import OriginPolicy

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
            # Before they are read: one that comes meanwhile is read again.
            last = await stores.bus.last_revocation()
            cluster = Cluster(stores.bus, settings.server_name, log.follower, revoked=last)
        tokens.restore(await stores.revocations.all(time.time()))
        enforcement = Enforcement(stores.moderation, stores.users, tokens, stores.revocations, settle=log.settle)
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
