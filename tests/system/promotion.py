"""Two servers on a PostgreSQL with a streaming standby, which takes over while clients chat.

    python -m tests.system.promotion sync|async [SEED]

"sync": a commit waits for the standby (`synchronous_standby_names`). "async": it does not, and the standby has
fallen behind when the primary dies: messages that were acknowledged are lost. The servers must notice that, and
begin a new epoch, so that no client is told that it missed nothing.
"""

import os
import random
import signal
import sys
import time
from contextlib import ExitStack

from tests.postgres import PostgresServer
from tests.system.durable import DurableServer
from tests.system.js import JsClients
from tests.system.kills import Cast, Outcome, run
from tests.system.nginx import Nginx, certificate
from tests.system.server import Api

BEHIND_SECONDS = 2.0
WATCHED_SECONDS = 8.0
CAST = Cast(clients=20, senders=4, step_seconds=0.2, round_seconds=(2.0, 3.0))


def play(*, is_sync: bool, seed: int) -> tuple[Outcome, int]:
    """The outcome, and how many servers began a new epoch."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        primary, standby = PostgresServer(), PostgresServer()
        for each in (primary, standby):
            stack.callback(each.stop)
        primary.start()
        url = primary.new_database()
        standby.follow(primary)
        standby.start()
        if is_sync:
            primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.sql("postgres", "SELECT pg_reload_conf()")
        both = url.replace(f"@127.0.0.1:{primary.port}", f"@127.0.0.1:{primary.port},127.0.0.1:{standby.port}")
        settings = {"HISTORY_ON_CONNECT": "0", "TRUSTED_PROXIES": "127.0.0.1"}
        servers = [stack.enter_context(DurableServer(both, SERVER_NAME=name, **settings)) for name in "12"]
        nginx = stack.enter_context(Nginx(*(server.process.port for server in servers)))
        ended: list[DurableServer] = []
        left = [_promote, _fall_behind]

        def fail(_js: JsClients, _names: list[str]) -> None:
            left.pop()(primary, standby, is_sync)
            until = time.monotonic() + WATCHED_SECONDS
            while time.monotonic() < until and not left:  # as a supervisor does it
                for server in servers:
                    if server.process.process.poll() is not None:
                        ended.append(server)
                        server.kill_and_start()
                time.sleep(0.1)

        outcome = run(Api(nginx.url), fail, 2, chance, cast=CAST, trusted=certificate().path)
        return outcome, len(ended)


def _fall_behind(_primary: PostgresServer, standby: PostgresServer, is_sync: bool) -> None:
    if not is_sync:
        os.kill(standby.child("walreceiver"), signal.SIGSTOP)


def _promote(primary: PostgresServer, standby: PostgresServer, is_sync: bool) -> None:
    receiver = None if is_sync else standby.child("walreceiver")
    primary.kill()
    if receiver is not None:
        os.kill(receiver, signal.SIGKILL)  # with what it has received and not read
        time.sleep(BEHIND_SECONDS)
    standby.promote()


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    sys.stdout.write(f"seed {chosen}\n")
    outcome, ended = play(is_sync=sys.argv[1] == "sync", seed=chosen)
    sys.stdout.write(f"{outcome}; {ended} servers ended and began anew\n")
