"""Files that are read once, when the server starts, and are served from memory, each at its own path.

No path of a request reaches the disk, so no request can leave the folder. Why not Tornado's StaticFileHandler:
docs/decisions/0014-static-page.md.
"""

import functools
import gzip
import hashlib
from dataclasses import dataclass
from typing import Final

from handlers.http.auth import public
from handlers.http.base import BaseHandler
from handlers.http.operation import unlisted
from handlers.http.services import Services

MAX_CODINGS_CHARS: Final = 256  # of an Accept-Encoding: browsers send 30, and as many parts as fit take 2 ms

# So much of a file each answer may hold by itself; the largest, of the viewer, has 1.7 MB.
COPIED_BYTES: Final = 64 * 1024

JSON: Final = ".json"
HTML: Final = ".html"
TEXT: Final = ".txt"
TYPES: Final = {
    HTML: "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    JSON: "application/json; charset=utf-8",
    TEXT: "text/plain; charset=utf-8",
}
HEADERS: Final = {
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Browsers revalidate at each load: a new version is there at once, and an unchanged file is a 304.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, eq=False)
class StaticFile:
    """A file, the ending of its kind, and its Content-Security-Policy. A status of 503 says what is missing."""

    kind: str
    plain: bytes
    policy: str
    status: int = 200

    @functools.cached_property
    def gzipped(self) -> bytes:
        """Made for the first client that wants it: the viewer of /docs takes 50 ms."""
        return gzip.compress(self.plain, compresslevel=6, mtime=0)

    @functools.cached_property
    def etag(self) -> str:
        """Weak: it identifies the text, compressed or not (RFC 9110, 8.8.1)."""
        return f'W/"{hashlib.sha256(self.plain).hexdigest()[:32]}"'


class FileHandler(BaseHandler):
    """Mount it at the path of `file`."""

    def initialize(self, services: Services, file: StaticFile) -> None:  # type: ignore[override]
        super().initialize(services)
        self._file = file

    @public
    @unlisted
    async def get(self) -> None:
        """Answer the file, or 304 if the client has it already."""
        file = self._file
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Security-Policy", file.policy)
        self.set_header("Content-Type", TYPES[file.kind])
        self.set_header("Etag", file.etag)
        self.set_status(file.status)
        varies = self.services.cors.default_headers.get("Vary")
        self.set_header("Vary", f"{varies}, Accept-Encoding" if varies else "Accept-Encoding")
        if file.status == 200 and self.check_etag_header():
            self.set_status(304)
            self.finish()
        elif _accepts_gzip(self.request.headers.get("Accept-Encoding", "")):
            self.set_header("Content-Encoding", "gzip")
            await self._send(file.gzipped)
        else:
            await self._send(file.plain)

    async def _send(self, content: bytes) -> None:
        """Answer `content`, which all clients share: Tornado copies a body that is sent together with the head."""
        self.set_header("Content-Length", len(content))
        if len(content) > COPIED_BYTES:
            try:
                await self.flush()
            except OSError:  # Tornado's StreamClosedError: the client is gone
                return
        self.finish(content)


def _accepts_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip, with a weight other than 0 (RFC 9110, 12.5.3)."""
    for part in accepted[:MAX_CODINGS_CHARS].lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.strip().replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
