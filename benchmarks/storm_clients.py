"""Clients that all come back in the same moment: python -m benchmarks.storm_clients KIND COUNT PORT KEY.

Each has an address of its own. Once every one is in /chat, the process prints the seconds that took, as JSON; its
connections stay open until its standard input ends.
"""

import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from benchmarks.launch import raise_file_limit
from benchmarks.load.wire import polling_request, user_token
from tests.client.protocol import connect_packet, plain_frame, websocket_request

# Sends what it yields, and is given what arrives.
Client = Generator[bytes, bytes, None]
PATIENCE_SECONDS = 60.0
JOINED = b"40/chat,{"


def by_websocket(token: str) -> Client:
    data = yield websocket_request()
    while b"0{" not in data:
        data += yield b""
    data = yield plain_frame(connect_packet(token))
    while JOINED not in data:
        data += yield b""


def by_polling(token: str) -> Client:
    data = yield polling_request("GET", "")
    while b'"sid":"' not in data:
        data += yield b""
    query = "&sid=" + data.partition(b'"sid":"')[2].partition(b'"')[0].decode()
    data = yield polling_request("POST", query, connect_packet(token))
    while not data.endswith(b"ok"):
        data += yield b""
    data = yield polling_request("GET", query)
    while JOINED not in data:
        data += yield b""


KINDS: dict[str, Callable[[str], Client]] = {"websocket": by_websocket, "polling": by_polling}


def storm(kind: str, count: int, port: int, key: str) -> tuple[float, list[socket.socket]]:
    """The seconds until all clients are in /chat, and their sockets."""
    selector, sockets = selectors.DefaultSelector(), []
    clients = [KINDS[kind](user_token(key, number)) for number in range(count)]
    sock: Any
    began = time.monotonic()
    for number, client in enumerate(clients):
        sock = socket.socket()
        sock.bind((f"127.1.{number // 250}.{number % 250 + 1}", 0))
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        selector.register(sock, selectors.EVENT_WRITE, client)
        sockets.append(sock)
    left = count
    while left:
        if time.monotonic() > began + PATIENCE_SECONDS:
            sys.exit(f"{left} clients did not come back in {PATIENCE_SECONDS:.0f} s")
        for found, events in selector.select(1.0):
            sock, client = found.fileobj, found.data
            if events & selectors.EVENT_WRITE:
                selector.modify(sock, selectors.EVENT_READ, client)
                sock.send(next(client))
                continue
            if not (data := sock.recv(1 << 16)):
                sys.exit("the server closed a connection")
            try:
                if answer := client.send(data):
                    sock.send(answer)
            except StopIteration:
                selector.unregister(sock)
                left -= 1
    return time.monotonic() - began, sockets


def main(kind: str, count: int, port: int, key: str) -> None:
    # In the time that the server and the users who chat leave: the clients have processors of their own.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    raise_file_limit()
    seconds, _sockets = storm(kind, count, port, key)
    print(json.dumps(seconds), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
