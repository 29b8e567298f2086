"""A restart under traffic: clients on every transport, a message every 50 ms, and new clients.

    python -m tests.system.restart URL KEY_FILE COMMAND...

plays it against the server at URL, whose tokens are signed with the key in KEY_FILE and which COMMAND restarts.
"""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.client.protocol import token
from tests.system.js import JsClients
from tests.system.server import PATIENCE_SECONDS, await_until

TRANSPORTS = (["websocket"], ["polling", "websocket"], ["polling"])
BEAT_SECONDS = 0.05
BEATS_BEFORE, BEATS_MEANWHILE, BEATS_AFTER = 40, 20, 40
# The page's own settings but for the delay, which is a second there.
OPTIONS: dict[str, Any] = {
    "reconnectionDelay": 200,
    "reconnectionDelayMax": 400,
    "retries": 100,
    "ackTimeout": 3000,
}


class Outcome(NamedTuple):
    """`lost` and `missed`: pairs of a client and an acknowledged message that never came together."""

    clients: int
    sent: int
    acknowledged: int
    failed_connects: int  # of returning and of new clients
    lost: dict[str, int]  # by transport: acknowledged by the old server, when all clients were connected
    missed: int  # acknowledged by the new server, before a client came back too late even for the history
    doubled: int
    seconds_away: float  # from the restart to the last client's return


def run(url: str, key: str, restart: Callable[[], object], *, clients: int, newcomers: int = 20) -> Outcome:
    """Play the restart. A thread of its own calls `restart`."""
    with JsClients() as js:
        names = [f"client {number}" for number in range(clients)]
        for number, name in enumerate(names):
            js.open(name, url, token(key, name), transports=TRANSPORTS[number % 3], **OPTIONS)
        for name in names:
            js.expect(name, "connect")
            js.collect(name)
        sent = _speak(js, BEATS_BEFORE, 0)
        began = time.monotonic()
        restarting = threading.Thread(target=restart)
        restarting.start()
        fresh = [f"new {number}" for number in range(newcomers)]
        for number, name in enumerate(fresh):
            js.open(name, url, token(key, name), transports=TRANSPORTS[number % 3], **OPTIONS)
            sent = _speak(js, BEATS_MEANWHILE // newcomers, sent)
        restarting.join()
        for name in names:
            js.expect(name, "disconnect")
            js.expect(name, "connect")
        away = time.monotonic() - began
        sent = _speak(js, BEATS_AFTER, sent)
        await_until(lambda: len(js.acknowledged(names[0])) == sent, "all is acknowledged", PATIENCE_SECONDS)
        acknowledged = js.acknowledged(names[0])
        old_log, last = _log_of(acknowledged[0][1]), acknowledged[-1][0]
        of_old = {message for message, offset in acknowledged if _log_of(offset) == old_log}
        of_new = {message for message, _ in acknowledged} - of_old
        lost, missed, doubled = dict.fromkeys(map("-".join, TRANSPORTS), 0), 0, 0
        for number, name in enumerate(names):
            await_until(lambda name=name: last in js.collected(name)[0], f"{name} is up to date", PATIENCE_SECONDS)
            received = js.collected(name)[0]
            lost["-".join(TRANSPORTS[number % 3])] += len(of_old - set(received))
            missed += len(of_new - set(received))
            doubled += len(received) - len(set(received))
        for name in fresh:
            js.expect(name, "connect")
        failed = sum(len(js.kept(name, "connect_error")) for name in [*names, *fresh])
    return Outcome(clients, sent, len(acknowledged), failed, lost, missed, doubled, round(away, 2))


def _log_of(offset: str) -> str:
    return offset.rpartition("-")[0]


def _speak(js: JsClients, beats: int, sent: int) -> int:
    for number in range(sent, sent + beats):
        js.say("client 0", str(uuid.uuid4()), f"message {number}")
        time.sleep(BEAT_SECONDS)
    return sent + beats


if __name__ == "__main__":
    address, key_file, *command = sys.argv[1:]
    secret = Path(key_file).read_text().strip()
    sys.stdout.write(f"{run(address, secret, lambda: subprocess.run(command, check=True), clients=200)}\n")
