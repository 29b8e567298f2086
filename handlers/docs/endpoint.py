"""Documents made when the server starts: what machines read, and a page of them for people."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from tornado.template import Loader

from chatio.server.in_flight import InFlightRequests
from handlers.auth import public
from handlers.base import BaseHandler
from handlers.cors import Cors
from handlers.docs.openapi import openapi_document
from handlers.docs.wording import outline, prose
from handlers.operation import unlisted

FOLDER: Final = Path(__file__).parent

# No script, and no style but ours.
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Document(NamedTuple):
    content_type: str
    body: bytes


def make_documents(
    doors: Iterable[tuple[str, type[BaseHandler]]], asyncapi: dict[str, Any]
) -> dict[str, Document]:
    """The documents of `doors`, paths and handlers, and of the chat, by their paths. Raises `Undescribed`."""
    openapi = openapi_document(doors)
    page = (
        Loader(str(FOLDER))
        .load("page.html")
        .generate(openapi=openapi, asyncapi=asyncapi, outline=outline, prose=prose)
    )
    json, html, css = ("application/json; charset=utf-8", "text/html; charset=utf-8", "text/css; charset=utf-8")
    return {
        "/openapi.json": Document(json, msgspec.json.encode(openapi)),
        "/asyncapi.json": Document(json, msgspec.json.encode(asyncapi)),
        "/docs": Document(html, page),
        "/docs.css": Document(css, (FOLDER / "page.css").read_bytes()),
    }


class DocumentHandler(BaseHandler):
    def initialize(self, cors: Cors, requests: InFlightRequests, document: Document) -> None:  # type: ignore[override]
        super().initialize(cors, requests)
        self._document = document

    @public
    @unlisted
    async def get(self) -> None:
        self.set_header("Content-Type", self._document.content_type)
        self.set_header("Content-Security-Policy", PAGE_POLICY)
        self._requests.sending(self.finish(self._document.body))

    head = get
