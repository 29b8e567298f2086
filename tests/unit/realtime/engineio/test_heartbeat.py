"""Heartbeat: which answers count."""

from chatio.realtime.engineio.heartbeat import Heartbeat
from tests.client.wire import until


class Client:
    """A connection that counts its pings and never answers by itself."""

    def __init__(self) -> None:
        self.pings = 0
        self.is_over = False

    def ping(self) -> None:
        self.pings += 1

    def ping_timed_out(self) -> bool:
        self.is_over = True
        return True


async def test_answer_to_no_ping_postpones_none() -> None:
    client, heartbeat = Client(), Heartbeat(0.05, 60.0)
    heartbeat.pings.add(client)
    due = heartbeat.pings[client]
    heartbeat.beat(client)
    assert heartbeat.pings[client] == due
    await until(lambda: client.pings == 1)
    heartbeat.beat(client)
    await until(lambda: client.pings == 2)
    heartbeat.stop(client)
    assert not len(heartbeat)


async def test_client_that_does_not_answer_in_time_is_ended() -> None:
    client, heartbeat = Client(), Heartbeat(0.01, 0.01)
    heartbeat.pings.add(client)
    await until(lambda: client.is_over)
    assert not len(heartbeat)
