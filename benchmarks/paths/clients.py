"""Clients that take each path several times."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from benchmarks.paths.trace import Recorder, Trace
from tests.client.wire import SOCKET_IO, Http, Ws

RUNS = 6  # of each path; imports and caches are still cold in the first, which does not count
SETTLE_SECONDS = 0.06  # after an answer, until the server has done the rest
IDLE_SECONDS = 0.5
PASSWORD = "correct horse"


class Clients:
    """Two clients of the server at `port`, which take each path `RUNS` times."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        self._port = port
        self._recorder = recorder

    async def traces(self) -> dict[str, Trace]:
        """The trace of each path, by its name."""
        await asyncio.sleep(SETTLE_SECONDS)
        self._recorder.start()
        await asyncio.sleep(IDLE_SECONDS)
        self._recorder.stop_idle()
        register = await self._record(self._register)
        self._token = await self._log_in()
        connect = await self._record(self._connect_and_leave)
        self._sender, self._receiver = await self._connect(), await self._connect()
        await asyncio.sleep(SETTLE_SECONDS)
        message = await self._record(self._send)
        self._sender.close()
        self._receiver.close()
        return {"POST /register": register, "CONNECT": connect, "message": message}

    async def _record(self, path: Callable[[int], Awaitable[Callable[[], None] | None]]) -> Trace:
        traces = []
        for number in range(RUNS):
            self._recorder.start()
            undo = await path(number)
            await asyncio.sleep(SETTLE_SECONDS)
            traces.append(self._recorder.stop())
            if undo is not None:
                undo()
                await asyncio.sleep(SETTLE_SECONDS)
        return min(traces[1:], key=lambda trace: (len(trace.calls), trace.moves))

    async def _post(self, http: Http, path: str, **body: str) -> bytes:
        answer = await http.request("POST", path, json.dumps(body).encode(), Content_Type="application/json")
        assert answer.status in (200, 201), answer
        return answer.body

    async def _register(self, number: int) -> Callable[[], None]:
        http = await Http.open(self._port)
        await self._post(http, "/register", name=f"P{number}", email=f"p{number}@chat.test", password=PASSWORD)
        return http.close

    async def _log_in(self) -> str:
        http = await Http.open(self._port)
        body = await self._post(http, "/login", email="p0@chat.test", password=PASSWORD)
        http.close()
        return str(json.loads(body)["token"])

    async def _connect(self) -> Ws:
        """Open a TCP connection, and a WebSocket on it, and connect to /chat after Engine.IO's OPEN packet."""
        ws = await Ws.open(self._port, f"{SOCKET_IO}websocket")
        opened = await ws.receive()
        ws.send("40/chat," + json.dumps({"token": self._token}))
        connected = await ws.receive()
        assert str(opened).startswith("0{"), opened
        assert str(connected).startswith("40/chat,"), connected
        return ws

    async def _connect_and_leave(self, _: int) -> Callable[[], None]:
        return (await self._connect()).close

    async def _send(self, number: int) -> None:
        """One message, until the sender has its ack and both clients have the message."""
        message = {"id": f"m{number}", "content": "Hello", "timestamp": "10:32 AM"}
        self._sender.send(f"42/chat,{number}" + json.dumps(["send-message", message]))
        received = [await ws.receive() for ws in (self._sender, self._sender, self._receiver)]
        kinds = sorted(str(packet)[: len("42/chat,")] for packet in received)
        assert kinds == ["42/chat,", "42/chat,", "43/chat,"], received
