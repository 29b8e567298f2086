"""Two servers behind nginx, while servers, their database and connections are killed, or servers are restarted."""

import itertools
import random
import socket
from contextlib import ExitStack
from typing import Any

from tests.postgres import postgres
from tests.system import many_kills
from tests.system.js import JsClients
from tests.system.kills import Cast, run
from tests.system.nginx import Nginx, certificate
from tests.system.server import Api, ServerProcess

CAST = Cast(clients=20, senders=5, step_seconds=0.1, round_seconds=(0.5, 1.0))


def test_no_acknowledged_message_is_lost_and_every_client_has_the_same() -> None:
    outcome = many_kills.play(3, 7, servers=2, cast=CAST)
    assert (outcome.acked_and_lost, outcome.received_twice, outcome.orders) == (0, 0, 1)
    assert outcome.acked > 0
    assert outcome.fresh == 0


def test_a_rolling_restart_refuses_nobody_and_loses_nothing() -> None:
    """The service manager keeps the sockets open, as `systemctl restart chatio@1` and then 2 does."""
    settings: dict[str, Any] = {
        "DATABASE_URL": postgres().new_database(),
        "TRUSTED_PROXIES": "127.0.0.1",
        "HISTORY_ON_CONNECT": "0",
        "SHUTDOWN_GRACE_SECONDS": "3",
    }
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]

        def started(number: int) -> ServerProcess:
            name = str(number + 1)
            return ServerProcess(listener=listeners[number], SERVER_NAME=name, **settings).__enter__()

        running = [started(number) for number in range(2)]

        def stop_all() -> None:
            for server in running:
                server.__exit__(None, None, None)

        stack.callback(stop_all)
        nginx = stack.enter_context(Nginx(*(listener.getsockname()[1] for listener in listeners)))
        turns, errors = itertools.cycle(range(2)), list[Any]()

        def restart(js: JsClients, names: list[str]) -> None:
            number = next(turns)
            running[number].__exit__(None, None, None)
            running[number] = started(number)
            errors.extend(error for name in names for error in js.kept(name, "connect_error"))

        outcome = run(Api(nginx.url), restart, 4, random.Random(7), cast=CAST, trusted=certificate().path)
    assert (outcome.acked_and_lost, outcome.received_twice, outcome.orders) == (0, 0, 1)
    assert (outcome.refused, outcome.fresh, errors) == (0, 0, [])
    assert outcome.recovered >= CAST.clients
