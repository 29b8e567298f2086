"""Play every abuse while ten users chat, and print their delays, beside quiet times before and after.

    python -m benchmarks.attack [SECONDS] [ABUSE ...]

The users have official clients; the run fails if one of their messages is lost, refused or out of order.
"""

import asyncio
import sys
import time

from benchmarks.attack.abuses import ABUSES, Abuse, Scene, quiet
from benchmarks.attack.ordinary import Heard, Ordinary
from tests.client.protocol import token
from tests.system.js import JsClients
from tests.system.server import REAL_COMMAND, SECRET, ServerProcess

ABUSERS = 60


def run(seconds: float, abuses: tuple[Abuse, ...] = ABUSES) -> dict[str, Heard]:
    """Return the times of each stretch by name. Raises AssertionError if a user lost a message."""
    times: dict[str, Heard] = {}
    process = ServerProcess(command=REAL_COMMAND, RATE_LIMITS="on", TRUSTED_PROXIES="127.0.0.1")
    with process as server, JsClients() as js:
        people = Ordinary(server, js)
        tokens = [token(SECRET, f"abuser {number}") for number in range(ABUSERS)]
        scene = Scene(server.port, tokens, "person0@chat.test", seconds)
        people.begin()
        time.sleep(1.0)  # for the users to settle
        stretches = [
            ("quiet before", quiet),
            *((abuse.__name__, abuse) for abuse in abuses),
            ("quiet after", quiet),
        ]
        for name, abuse in stretches:
            people.forget_times()
            outcome = asyncio.run(abuse(scene))
            times[name] = people.times()
            _say(name, times[name], ", ".join(f"{n} {what}" for what, n in outcome.items()))
        total = people.end()
        sys.stdout.write(f"{total} messages of {len(people.names)} people: none lost, refused or out of order\n")
    return times


def _say(name: str, heard: Heard, outcome: str) -> None:
    sys.stdout.write(f"{name:28} p50 {heard.p50_ms:6.1f} ms  p99 {heard.p99_ms:7.1f} ms  {outcome}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    chosen = tuple(abuse for abuse in ABUSES if abuse.__name__ in sys.argv[2:]) or ABUSES
    run(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0, chosen)
