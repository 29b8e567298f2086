"""The chat page: `/` and `/web/...`, a fixed table of files that are read once, when the server starts.

No path of a request reaches the disk, so no request can leave the folder. The one file that is not ours is the
official client, where npm put it. Without it `/` answers one line that says so, and everything else works. Why not
Tornado's StaticFileHandler: docs/decisions/0014-static-page.md.
"""

import gzip
import hashlib
import logging
from pathlib import Path
from typing import Final, NamedTuple

from chatio.errors import RouteUnknown
from handlers.auth import public
from handlers.base import BaseHandler
from handlers.operation import unlisted
from handlers.services import Services

CLIENT_FILE: Final = "node_modules/socket.io-client/dist/socket.io.esm.min.js"
MISSING: Final = (
    "The page is missing {name}. Install npm, run `npm ci --prefix web`, and start the server again.\n"
)

logger = logging.getLogger("chatio.http")

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS: Final = {
    # 'self' covers the WebSocket of the same host too (CSP 3, 6.7.2.8). Text never becomes markup: there is no
    # Trusted Types policy that could make it so. Forms are sent by the page's code only.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Browsers revalidate at each load: a new version is there at once, and an unchanged file is a 304.
    "Cache-Control": "no-cache",
}


class PageFile(NamedTuple):
    content_type: str
    plain: bytes
    gzipped: bytes
    etag: str  # weak: it identifies the text, compressed or not (RFC 9110, 8.8.1)


class Page(NamedTuple):
    """The files by path. `missing` is the line that `/` answers when a file is missing, else empty."""

    files: dict[str, PageFile]
    missing: str


def read_page(folder: Path) -> Page:
    """Read the files in `folder`, not deeper, and the client that npm put there.

    Raises OSError for a file that cannot be read.
    """
    files = {f"/web/{path.name}": _read(path) for path in sorted(folder.glob("*")) if path.suffix in _TYPES}
    client = folder / CLIENT_FILE
    missing = ""
    if client.is_file():
        files["/web/socket.io.js"] = _read(client)
    else:
        missing = MISSING.format(name="socket.io-client")
    if (index := files.pop("/web/index.html", None)) is not None:
        files["/"] = index
    else:
        missing = MISSING.format(name="index.html")
    if missing:
        logger.info("%s", missing.strip(), extra={"event": "page_incomplete"})
    return Page(files, missing)


class PageHandler(BaseHandler):
    """Mount it at `/` and at `/web/...`."""

    def initialize(self, services: Services, page: Page) -> None:  # type: ignore[override]
        super().initialize(services)
        self._page = page

    @public
    @unlisted
    async def get(self) -> None:
        """Answer the file, 304 if the client has it already, or 503 and one line if the page is incomplete."""
        if self.request.path == "/" and self._page.missing:
            self.set_status(503)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(self._page.missing)
            return
        file = self._page.files.get(self.request.path)
        if file is None:
            raise RouteUnknown
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Type", file.content_type)
        self.set_header("Etag", file.etag)
        varies = self.services.cors.default_headers.get("Vary")
        self.set_header("Vary", f"{varies}, Accept-Encoding" if varies else "Accept-Encoding")
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
        elif _accepts_gzip(self.request.headers.get("Accept-Encoding", "")):
            self.set_header("Content-Encoding", "gzip")
            self.finish(file.gzipped)
        else:
            self.finish(file.plain)


def _read(path: Path) -> PageFile:
    plain = path.read_bytes()
    return PageFile(
        _TYPES[path.suffix],
        plain,
        gzip.compress(plain, mtime=0),
        f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"',
    )


def _accepts_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip, with a weight other than 0 (RFC 9110, 12.5.3)."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.strip().replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
