"""HTTP/1.1 as it comes in: Tornado's parser, with what RFC 9112 demands and Tornado 6.6 does not do.

    input                                             Tornado                   here
    absolute-form target (3.2.2)                      404                       read; its host replaces Host
    a target longer than the limit (3)                closed unanswered         414
    a head larger than the limit (RFC 6585, 5)        closed unanswered         431
    a head or body that does not arrive in time       closed unanswered         408
    a head or body that is malformed (2.2, 6.3)       a bare 400                400 with a body and CORS headers
    empty lines before a request (2.2)                one is passed over        all are passed over
    bytes that begin no request, such as TLS          waits for the head        400 at once
    chunk extensions, trailers (7.1.1, 7.1.2)         400                       read, and thrown away
    Transfer-Encoding in HTTP/1.0 (6.1)               read                      400
    `Connection: close` among other options (9.6)     kept open                 closed after the answer
    `Expect: 100-Continue` in any case (RFC 9110)     waits for the body        100

Everything else is Tornado's; tests/unit/server/test_tornado_pins.py pins what it has private and is used here.
"""

import asyncio
import re
from collections.abc import Awaitable
from typing import Final, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPMessageDelegate

from chatio.errors import RequestTimeout
from chatio.server.http.stream import HttpStream

# Of a chunked body: the lines around its chunks, together. Go's limit for chunk extensions and trailers.
MAX_CHUNK_LINES_BYTES: Final = 16 * 1024

# Of Connection and Expect: browsers send 10, and as many parts as fit into a head take 1.4 ms.
MAX_OPTIONS_CHARS: Final = 256
# Of a query: Tornado parses each before any handler, and as many as fit into a head take 13 ms.
MAX_ARGUMENTS: Final = 100

_SCHEME: Final = re.compile(r"(?:http|ws)s?:", re.IGNORECASE)
_ABSOLUTE_FORM: Final = re.compile(r"(?:http|ws)s?://([^/?#@ ]+)((?:[/?][^# ]*)?) ([^ ]+)", re.IGNORECASE)
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
_CHUNK_COST: Final = 1024  # as Tornado counts: each chunk as so many bytes
_BYTES_PER_TURN: Final = 64 * 1024  # of a body; then other connections have their turn
_CHUNKS_STEPS: Final = 256  # what so many bytes of chunks cost, in steps of about 3 µs


class RequestConnection(HTTP1Connection):
    """One request of an `HttpStream`, and its answer."""

    stream: HttpStream

    @property
    def is_read(self) -> bool:
        return self._read_finished

    @property
    def is_gone(self) -> bool:
        return self.stream.closed()

    def answer(self, data: bytes) -> None:
        """Send a whole answer. `write_headers` takes 20 µs more."""
        self.set_close_callback(None)
        self.write(data)
        self.finish()

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        text, headers = super()._parse_headers(data)
        method, _, rest = text.partition(" ")
        if _SCHEME.match(rest):
            absolute = _ABSOLUTE_FORM.fullmatch(rest)
            if absolute is None:
                raise HTTPInputError("a target without a host, or with a user")
            headers["Host"], path, version = absolute.groups()
            text = f"{method} {path if path.startswith('/') else '/' + path} {version}"
        if rest.count("&") >= MAX_ARGUMENTS:
            raise HTTPInputError("too many arguments")
        if rest.endswith("HTTP/1.0") and "Transfer-Encoding" in headers:
            raise HTTPInputError("Transfer-Encoding in HTTP/1.0")
        if "close" in headers.get("Connection", "").lower() and "close" in _options(headers["Connection"]):
            headers["Connection"] = "close"
        if "Expect" in headers and _options(headers["Expect"]) == ["100-continue"]:
            headers["Expect"] = "100-continue"
        return text, headers

    def _read_body(self, code: int, headers: HTTPHeaders, delegate: HTTPMessageDelegate) -> Awaitable[None] | None:
        seconds, self._body_timeout = self._body_timeout, None  # Tornado would close the connection unanswered
        if headers.get("Content-Length") == "0" and "Transfer-Encoding" not in headers:
            return None
        body = super()._read_body(code, headers, delegate)
        return body if body is None or seconds is None else self._read_within(seconds, body)

    async def _read_within(self, seconds: float, body: Awaitable[None]) -> None:
        timeout = asyncio.get_running_loop().call_later(seconds, self.stream.refuse, RequestTimeout())
        try:
            await body
        finally:
            timeout.cancel()

    async def _read_chunked_body(self, delegate: HTTPMessageDelegate) -> None:
        work, lines_left = _BYTES_PER_TURN, MAX_CHUNK_LINES_BYTES
        while True:
            line = await self.stream.read_until(b"\n", max_bytes=lines_left)
            found = _CHUNK_SIZE.fullmatch(line)
            if found is None:
                raise HTTPInputError("invalid chunk size")
            lines_left -= len(line) - len(found[1]) - 2  # what the extension takes
            if not (size := int(found[1], 16)):
                break
            while size:
                if work >= _BYTES_PER_TURN:
                    work = 0
                    await self.stream.take_turn(_CHUNKS_STEPS)
                    await asyncio.sleep(0)
                data = await self.stream.read_bytes(min(size, self.params.chunk_size), partial=True)
                size -= len(data)
                await self._deliver_body(delegate, data)
                work += len(data) + _CHUNK_COST
            if await self.stream.read_bytes(2) != b"\r\n":
                raise HTTPInputError("improperly terminated chunk")
        while (trailer := await self.stream.read_until(b"\n", max_bytes=lines_left)) != b"\r\n":
            if not trailer.endswith(b"\r\n"):
                raise HTTPInputError("a trailer without CRLF")
            lines_left -= len(trailer)

    def detach(self) -> HttpStream:
        self.stream.release()
        return cast(HttpStream, super().detach())


def _options(header: str) -> list[str]:
    return [option.strip().lower() for option in header[:MAX_OPTIONS_CHARS].split(",")]
