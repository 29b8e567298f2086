"""Probes of Engine.IO: handshakes, polling and the upgrade."""

import asyncio
import json

from benchmarks.findings.probe import Row, Subject, fate, status, within
from chatio.realtime import RealtimeOptions
from tests.client.wire import SOCKET_IO, Http, Ws, open_polling, request


async def announced_interval(subject: Subject) -> str:
    answer = await request(subject.port, "GET", f"{SOCKET_IO}polling")
    return f"{json.loads(answer.text[1:])['pingInterval']} ms"


async def missing_transport(subject: Subject) -> str:
    return str((await request(subject.port, "GET", "/socket.io/?EIO=4")).status)


async def put(subject: Subject) -> str:
    return str((await request(subject.port, "PUT", f"{SOCKET_IO}polling")).status)


async def bad_version(subject: Subject) -> str:
    ws = await Ws.open(subject.port, "/socket.io/?EIO=3&transport=websocket")
    return "400" if ws.status == 400 else f"{ws.status}, {await fate(ws)}"


async def bad_sid(subject: Subject) -> str:
    ws = await Ws.open(subject.port, f"{SOCKET_IO}websocket&sid=unknown")
    return "400" if ws.status == 400 else f"{ws.status}, {await fate(ws)}"


async def post_answer(subject: Subject) -> str:
    target = await open_polling(subject.port)
    return (await request(subject.port, "POST", target, b"40")).text


async def malformed_body(subject: Subject) -> str:
    target = await open_polling(subject.port)
    return str((await request(subject.port, "POST", target, b"abc")).status)


async def two_gets(subject: Subject) -> str:
    target = await open_polling(subject.port)
    first, second = await Http.open(subject.port), await Http.open(subject.port)
    first.send("GET", target)
    await asyncio.sleep(0.05)
    second.send("GET", target)
    both = [await within(status(one), "waits") for one in (first, second)]
    return " and ".join(both)


async def polling_timeout(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    await http.request("GET", target)
    http.send("GET", target)
    return "the GET is answered" if await within(status(http), "") else "the GET waits"


async def polling_after_upgrade(subject: Subject) -> str:
    target = await open_polling(subject.port)
    ws = await Ws.open(subject.port, target.replace("polling", "websocket"))
    ws.send("2probe", "5")
    await within(ws.receive(), "nothing")
    return await within(ws.receive(), "nothing")


async def many_packets(subject: Subject) -> str:
    target = await open_polling(subject.port)
    await request(subject.port, "POST", target, b"40/chat,")
    body = "\x1e".join(f'42/chat,["say",{number}]' for number in range(40))
    answer = await request(subject.port, "POST", target, body.encode())
    await asyncio.sleep(0.1)
    return f"{answer.status}, {len(subject.calls)} handled"


async def chunked(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    http.send("POST", target, b"8\r\n40/chat,\r\n0\r\n\r\n", Transfer_Encoding="chunked")
    answer = await http.answer()
    await asyncio.sleep(0.1)
    joined = "joined" if subject.server.manager.rooms.get("/chat") else "ignored"
    return f"{answer.status}, {joined}"


async def aborted_get(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    http.send("GET", target)
    await asyncio.sleep(0.05)
    http.cut()
    await asyncio.sleep(0.05)
    answer = await request(subject.port, "POST", target, b"40/chat,")
    if answer.status == 400:
        return "session closed at once: the client comes back and recovers"
    again = await Http.open(subject.port)
    again.send("GET", target)
    return "the message " + ("is lost" if await within(status(again), "") == "" else "arrives")


async def large_post(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    http.send("POST", target, b"4" * 1_100_000)
    return await within(status(http), "hangs for ever")


ROWS = (
    Row("`pingInterval` of 0.3 s is announced as", announced_interval, RealtimeOptions(ping_interval=0.3)),
    Row("GET without `transport`", missing_transport),
    Row("PUT", put),
    Row("WebSocket with a bad EIO", bad_version),
    Row("WebSocket with an unknown sid", bad_sid),
    Row("answer to a polling POST", post_answer),
    Row("malformed polling body", malformed_body),
    Row("two GETs at once on one session", two_gets),
    Row("unanswered ping on polling", polling_timeout, RealtimeOptions(ping_interval=0.1, ping_timeout=0.1)),
    Row("first packet on the WebSocket after the upgrade", polling_after_upgrade),
    Row("40 events in one polling POST", many_packets),
    Row("chunked polling POST", chunked),
    Row("aborted polling GET, then a message", aborted_get),
    Row("polling POST over the limit", large_post),
)
