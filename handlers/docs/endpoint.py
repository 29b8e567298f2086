"""The API documents, made when the server starts: OpenAPI, AsyncAPI, and an HTML page of both."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from tornado.template import Loader

from handlers.auth import public
from handlers.base import BaseHandler
from handlers.docs.openapi import openapi_document
from handlers.docs.wording import outline, prose
from handlers.operation import unlisted
from handlers.services import Services

FOLDER: Final = Path(__file__).parent

# No scripts, and no styles but /docs.css.
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Document(NamedTuple):
    content_type: str
    body: bytes


def make_documents(
    endpoints: Iterable[tuple[str, type[BaseHandler]]], asyncapi: dict[str, Any]
) -> dict[str, Document]:
    """The documents of `endpoints`, paths and handlers, and of the chat, by their paths. Raises `Undescribed`."""
    openapi = openapi_document(endpoints)
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
    def initialize(self, services: Services, document: Document) -> None:  # type: ignore[override]
        super().initialize(services)
        self._document = document

    @public
    @unlisted
    async def get(self) -> None:
        self.set_header("Content-Type", self._document.content_type)
        self.set_header("Content-Security-Policy", PAGE_POLICY)
        self.finish(self._document.body)
