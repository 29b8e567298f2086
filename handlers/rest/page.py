"""The chat page: `/` and `/web/...`; where it is off, `/` links to the documents.

The one file that is not ours is the official client, where npm put it. Without it `/` answers one line that says
so, and everything else works.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from handlers.http.files import HTML, TEXT, FileHandler, StaticFile

CLIENT_FILE: Final = "node_modules/socket.io-client/dist/socket.io.esm.min.js"
MISSING: Final = (
    "The page is missing {name}. Install npm, run `npm ci --prefix web`, and start the server again.\n"
)
NO_PAGE: Final = b"""\
<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Chat.io</title>
<h1>Chat.io</h1>
<p>This server has an API, and no page of its own. <a href="/docs">Its documents</a></p>
"""
# 'self' covers the WebSocket of the same host too (CSP 3, 6.7.2.8). Text never becomes markup: there is no
# Trusted Types policy that could make it so. Forms are sent by the page's code only.
POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

_SERVED: Final = (HTML, ".css", ".js", ".svg")

logger = logging.getLogger("chatio.http")


class PageHandler(FileHandler):
    """A file of the page."""


def read_page(folder: Path) -> dict[str, StaticFile]:
    """Read the files in `folder`, not deeper, and the client that npm put there: the page by its paths.

    Raises OSError for a file that cannot be read.
    """
    files = {f"/web/{path.name}": _read(path) for path in sorted(folder.glob("*")) if path.suffix in _SERVED}
    if unread := files.get("/web/icon-unread.svg"):  # has "9+"
        for count in range(1, 10):
            files[f"/web/icon-{count}.svg"] = replace(unread, plain=unread.plain.replace(b">9+<", b">%d<" % count))
    index, client = files.pop("/web/index.html", None), folder / CLIENT_FILE
    if client.is_file():
        files["/web/socket.io.js"] = _read(client)
    if index is None:
        index = incomplete("index.html")
    elif not client.is_file():
        index = incomplete("socket.io-client")
    return {"/": index, **files}


def no_page() -> dict[str, StaticFile]:
    """What `/` answers where the server serves no page: a link to the documents."""
    return {"/": StaticFile(HTML, NO_PAGE, POLICY)}


def incomplete(name: str) -> StaticFile:
    """What stands in the place of a page that lacks `name`."""
    missing = MISSING.format(name=name)
    logger.info("%s", missing.strip(), extra={"event": "page_incomplete"})
    return StaticFile(TEXT, missing.encode(), POLICY, 503)


def _read(path: Path) -> StaticFile:
    return StaticFile(path.suffix, path.read_bytes(), POLICY)
