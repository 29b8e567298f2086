"""Heartbeat: which answers count."""

from chatio.realtime import RealtimeOptions
from chatio.realtime.engineio.poll_queue import PollQueue
from tests.client.wire import until
from tests.integration.realtime.engine import Engine


async def test_answer_to_no_ping_postpones_none() -> None:
    engine = Engine(RealtimeOptions(ping_interval=0.05, ping_timeout=60.0)).server
    connection = engine.admit("192.0.2.1")
    connection.poll_queue = PollQueue()
    engine.begin(connection, {})
    due = engine.pings[connection]
    connection.receive("3")
    assert engine.pings[connection] == due
    await until(lambda: connection in engine.pongs)
    connection.receive("3")
    assert connection in engine.pings
    assert connection not in engine.pongs
    connection.abort()
    assert not engine.table_sizes()["heartbeat"]
    await until(lambda: connection.closed)
