"""Fifty official clients on networks that are cut, stall and delay at random, ten of them sending with retries.

    python -m tests.system.chaos SECONDS [SEED]

At the end every client must have one gapless run of the one order, with every acknowledged message in it once. The
seed is printed; the same one makes the same faults in the same order.
"""

import random
import sys
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

from tests.client.protocol import token
from tests.system.js import JsClients
from tests.system.proxy import CuttingProxy
from tests.system.server import SECRET, ServerProcess, await_until

CLIENTS, SENDERS = 50, 10
STEP_SECONDS = 0.05
FAULT_SECONDS = (0.1, 3.0)
TRANSPORTS = (["websocket"], ["polling", "websocket"], ["polling"])
OPTIONS: dict[str, Any] = {
    "reconnectionDelay": 50,
    "reconnectionDelayMax": 400,
    "timeout": 4000,
    "retries": 10_000,
    "ackTimeout": 800,
}


class Outcome(NamedTuple):
    messages: int
    faults: dict[str, int]
    recoveries: int
    fresh_starts: int


def run(seconds: float, seed: int) -> Outcome:
    """Play it; AssertionError if anything was lost, doubled or out of order."""
    chance = random.Random(seed)
    names = [f"client {number:02}" for number in range(CLIENTS)]
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(HISTORY_ON_CONNECT="0", PRESENCE="off"))
        proxies = {name: stack.enter_context(CuttingProxy(server.port)) for name in names}
        js = stack.enter_context(JsClients())
        js.join("witness", server.url, token(SECRET, "witness"), transports=["websocket"])
        js.collect("witness")
        for number, name in enumerate(names):
            transports = TRANSPORTS[number % len(TRANSPORTS)]
            js.join(name, proxies[name].url, token(SECRET, name), transports=transports, **OPTIONS)
            js.collect(name)
        sent, faults = _storm(chance, seconds, names, proxies, js)
        for proxy in proxies.values():
            proxy.mend()
        await_until(lambda: len(js.collected("witness")[0]) >= sent, "everything arrives", 120)
        order, _ = js.collected("witness")
        assert len(order) == len(set(order)) == sent
        for name in names:
            await_until(lambda name=name: js.collected(name)[0][-1:] == order[-1:], f"{name} is up to date", 60)
            received, acked = js.collected(name)
            assert received == order, f"{name}: {len(received)} of {len(order)}"
            if name in names[:SENDERS]:
                await_until(lambda name=name: len(js.collected(name)[1]) * SENDERS == sent, f"{name} has acks", 60)
                acked = js.collected(name)[1]
                assert len(acked) == len(set(acked))
                assert set(acked) <= set(order)
        connects = [args for name in names for args in js.kept(name, "connect")]
        recoveries = sum(recovered for _, _, recovered in connects)
        return Outcome(sent, faults, recoveries, len(connects) - recoveries)


def _storm(
    chance: random.Random, seconds: float, names: list[str], proxies: dict[str, CuttingProxy], js: JsClients
) -> tuple[int, dict[str, int]]:
    """Faults and messages for so long; how many of each."""
    mending: dict[str, float] = {}
    faults = {"cut": 0, "cut_answers": 0, "stall": 0, "delay": 0}
    sent = step = 0
    began = time.monotonic()
    while step * STEP_SECONDS < seconds:
        now = step * STEP_SECONDS
        for name in [name for name, until in mending.items() if until <= now]:
            proxies[name].mend()
            del mending[name]
        name, fault = chance.choice(names), chance.choice(list(faults))
        lasts = chance.uniform(*FAULT_SECONDS)
        if name not in mending:
            faults[fault] += 1
            mending[name] = now + lasts
            if fault == "delay":
                proxies[name].delay_seconds = lasts / 10
            else:
                getattr(proxies[name], fault)()
        if step % 20 == 0:
            for sender in names[:SENDERS]:
                js.say(sender, f"{sender} {sent}", f"message {sent}")
                sent += 1
        step += 1
        time.sleep(max(0.0, began + step * STEP_SECONDS - time.monotonic()))
    return sent, faults


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    sys.stdout.write(f"seed {chosen}\n")
    sys.stdout.flush()
    sys.stdout.write(f"{run(float(sys.argv[1]), chosen)}\n")
