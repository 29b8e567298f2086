"""Several servers behind nginx on one PostgreSQL, and official clients, while what they need is killed.

    python -m tests.system.many_kills ROUNDS [SEED] [SERVERS] [CLIENTS]

A round takes ten seconds, at the end of which one server is killed (kill -9), or stopped as by an operator, or
paused for six seconds, and clients lose their connections. At a third and at two thirds of all rounds the database
is killed instead. At the end each client must have received exactly what the journal has, in its order, and the
journal must have each acknowledged message once.
"""

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

AWAY_SECONDS = (0.2, 2.0)
PAUSED_SECONDS = 6.0  # the others forget a server that is silent for so long
CUT = 0.1  # of the clients
CAST = Cast(clients=200, senders=20, step_seconds=1.0, round_seconds=(9.0, 10.0))


def play(
    rounds: int,
    seed: int,
    *,
    servers: int = 4,
    cast: Cast,
) -> Outcome:
    """Start what is needed, and `run` it."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        database = PostgresServer()
        stack.callback(database.stop)
        database.start()
        url = database.new_database()
        settings = {"HISTORY_ON_CONNECT": "0", "TRUSTED_PROXIES": "127.0.0.1", "LOG_MAX_MESSAGES": "100000"}
        running = [
            stack.enter_context(DurableServer(url, SERVER_NAME=str(number), **settings))
            for number in range(1, servers + 1)
        ]
        nginx = stack.enter_context(Nginx(*(server.process.port for server in running)))
        left = list(range(rounds, 0, -1))

        def kill(js: JsClients, names: list[str]) -> None:
            number = left.pop()
            for name in chance.sample(names, round(CUT * len(names))):
                js.cut(name)
            if number in (rounds // 3, 2 * rounds // 3):
                database.kill()
                time.sleep(chance.uniform(*AWAY_SECONDS))
                database.start()
            else:
                chance.choice((_kill, _kill, _restart, _pause))(chance.choice(running), chance)

        return run(Api(nginx.url), kill, rounds, chance, cast=cast, trusted=certificate().path)


def _kill(server: DurableServer, chance: random.Random) -> None:
    server.kill()
    time.sleep(chance.uniform(*AWAY_SECONDS))
    server.start()


def _restart(server: DurableServer, _chance: random.Random) -> None:
    server.restart()


def _pause(server: DurableServer, _chance: random.Random) -> None:
    server.process.process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSED_SECONDS)
    server.process.process.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    arguments = [int(each) for each in sys.argv[1:]]
    chosen = arguments[1] if len(arguments) > 1 else random.randrange(10**6)
    sys.stdout.write(f"seed {chosen}\n")
    sys.stdout.flush()
    many = arguments[2] if len(arguments) > 2 else 4
    clients = arguments[3] if len(arguments) > 3 else 200
    result = play(arguments[0], chosen, servers=many, cast=CAST._replace(clients=clients, senders=clients // 10))
    sys.stdout.write(f"{result}\n")
