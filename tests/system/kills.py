"""Fifty official clients, ten of them sending with retries, while the server or its database is killed.

    python -m tests.system.kills sqlite server ROUNDS [SEED]
    python -m tests.system.kills postgres server|database|sessions|network ROUNDS [SEED]

"sessions": PostgreSQL ends the server's sessions (`pg_terminate_backend`). "network": a proxy between both resets
connections while answers are lost, swallows every byte, or delays all of them.

At the end each client must have received exactly what the journal has, in its order, and the journal must have
each acknowledged message once. The seed is printed; the same one makes the same pauses.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.postgres import PostgresServer
from tests.system import chaos
from tests.system.durable import DurableServer
from tests.system.js import JsClients
from tests.system.proxy import CuttingProxy
from tests.system.server import Api, await_until

CLIENTS = 50
CLIENTS_PER_SENDER = 5
ACCOUNTS = 5  # shared by the clients: a password costs 0.1 s of CPU
STEP_SECONDS = 0.05
ROUND_SECONDS = (0.3, 1.2)
OPTIONS = chaos.OPTIONS | {"ackTimeout": 3000}


class Outcome(NamedTuple):
    """`refused` messages have an error for an ack. The last three must be 0, 0 and 1."""

    rounds: int
    sent: int
    acked: int
    refused: int
    recovered: int  # reconnections by which a client missed nothing
    fresh: int  # other ones
    acked_and_lost: int
    received_twice: int
    orders: int  # how many different sequences the clients and the journal have


class Cast(NamedTuple):
    """How many clients there are, how many of them send, how often, and for how long before each kill."""

    clients: int
    senders: int
    step_seconds: float = STEP_SECONDS
    round_seconds: tuple[float, float] = ROUND_SECONDS


def run(
    server: Api,
    kill: Callable[[JsClients, list[str]], None],
    rounds: int,
    chance: random.Random,
    *,
    cast: Cast,
    trusted: Path | None = None,
) -> Outcome:
    """Play it against `server`, which runs. `kill` kills something, and starts it again.

    The clients trust the certificate `trusted` too.
    """
    names = [f"client {number:03}" for number in range(cast.clients)]
    accounts = [server.sign_up(f"account-{number}") for number in range(ACCOUNTS)]
    with JsClients(trusted) as js:
        for number, name in enumerate(names):
            account = accounts[number % ACCOUNTS]
            js.join(name, server.url, account, transports=chaos.TRANSPORTS[number % 3], **OPTIONS)
            js.collect(name)
        sent = 0
        for _ in range(rounds):
            sent = _speak(js, names[: cast.senders], chance.uniform(*cast.round_seconds), sent, cast.step_seconds)
            kill(js, names)
        _await_answers(js, server, names, names[: cast.senders])
        received = {name: js.collected(name)[0] for name in names}
        acked = {each for name in names for each in js.collected(name)[1]}
        connects = [args[2] for name in names for args in js.kept(name, "connect")]
    journal = _journal(server, accounts[0])
    return Outcome(
        rounds=rounds,
        sent=sent,
        acked=len(acked),
        refused=sent + 1 - len(acked),
        recovered=sum(connects),
        fresh=len(connects) - sum(connects),
        acked_and_lost=len(acked - set(journal)),
        received_twice=sum(len(ids) - len(set(ids)) for ids in [journal, *received.values()]),
        orders=len({tuple(ids) for ids in [journal, *received.values()]}),
    )


def _speak(js: JsClients, senders: list[str], seconds: float, sent: int, step_seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for sender in senders:
            js.say(sender, f"{sender} {sent}", f"message {sent}")
            sent += 1
        time.sleep(step_seconds)
    return sent


def _await_answers(js: JsClients, server: Api, names: list[str], senders: list[str]) -> None:
    """Wait until each message has its ack or its error, and each client has received the last one of all."""
    await_until(lambda: server.request("GET", "/readyz").status == 200, "the server is ready", 60)
    last = names[-1]  # which has sent nothing before

    def is_last_acked() -> bool:
        if not js.collected(last)[1]:
            js.say(last, "last", "last")
            time.sleep(0.2)
        return bool(js.collected(last)[1])

    waiting = sum(map(js.unanswered, senders))
    while waiting:  # a message at a time of each sender, as the official client with `retries` does it
        await_until(
            lambda waiting=waiting: sum(map(js.unanswered, senders)) < waiting, "one more has its answer", 60
        )
        waiting = sum(map(js.unanswered, senders))
    await_until(is_last_acked, "the last message is acknowledged", 60)
    for name in names:
        await_until(lambda name=name: js.last_collected(name) == "last", f"{name} is up to date", 60)


def _journal(server: Api, account: str) -> list[str]:
    ids: list[str] = []
    query = "?limit=100"
    while query:
        page = server.request("GET", f"/messages{query}", headers={"Authorization": f"Bearer {account}"}).body
        ids[:0] = [message["id"] for message in page["messages"]]
        query = f"?limit=100&before={page['before']}" if page["before"] else ""
    return ids


def play(
    kind: str,
    victim: str,
    rounds: int,
    seed: int,
    *,
    clients: int = CLIENTS,
    database: PostgresServer | None = None,
) -> Outcome:
    """Start what is needed, and `run` it; with PostgreSQL in `database`, or in a server of its own."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        if kind == "postgres":
            if database is None:
                database = PostgresServer()
                stack.callback(database.stop)
                database.start()
            url = database.new_database()
            if victim == "network":
                proxy = stack.enter_context(CuttingProxy(database.port))
                url = url.replace(f":{database.port}/", f":{proxy.port}/")
        else:
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/chat.db"
        server = stack.enter_context(DurableServer(url, HISTORY_ON_CONNECT="0", PRESENCE="off"))

        def kill(*_: object) -> None:
            if victim == "server":
                server.kill_and_start()
            elif victim == "network":
                _disturb(proxy, chance)
            elif database is not None and victim == "database":
                database.kill()
                database.start()
            elif database is not None:
                database.sql("postgres", _END_SESSIONS)

        cast = Cast(clients, clients // CLIENTS_PER_SENDER)
        return run(Api(server.url), kill, rounds, chance, cast=cast)


_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'chatio%'"


def _disturb(proxy: CuttingProxy, chance: random.Random) -> None:
    chance.choice([proxy.cut_answers, proxy.swallow, proxy.stall, lambda: setattr(proxy, "delay_seconds", 0.2)])()
    time.sleep(chance.uniform(0.2, 1.0))
    proxy.cut_answers()  # what is under way is lost
    proxy.mend()


if __name__ == "__main__":
    chosen = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(10**6)
    sys.stdout.write(f"seed {chosen}\n")
    sys.stdout.flush()
    sys.stdout.write(f"{play(sys.argv[1], sys.argv[2], int(sys.argv[3]), chosen)}\n")
