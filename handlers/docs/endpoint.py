"""The API documents: OpenAPI and AsyncAPI for tools, `/docs` to try REST, and `/docs/chat` to read of the chat.

`/docs` is Swagger UI, where npm put it. Without it `/docs` answers one line that says so; all else works. Why
Swagger UI: docs/decisions/0022-api-documents.md.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from tornado.template import Loader

from handlers.docs.openapi import openapi_document
from handlers.docs.wording import outline, prose
from handlers.http.base import BaseHandler
from handlers.http.files import HTML, JSON, FileHandler, StaticFile
from handlers.rest.page import incomplete

FOLDER: Final = Path(__file__).parent
VIEWER: Final = Path("node_modules/swagger-ui-dist")

# No scripts, and no styles but our own.
READING_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI draws its icons from data: URLs. It needs neither eval nor styles in the page.
VIEWER_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class DocumentHandler(FileHandler):
    """A document, or a file of its page."""


def make_documents(
    endpoints: Iterable[tuple[str, type[BaseHandler]]], asyncapi: dict[str, Any]
) -> dict[str, StaticFile]:
    """The documents of `endpoints`, paths and handlers, and of the chat, by their paths. Raises `Undescribed`."""
    page = Loader(str(FOLDER)).load("chat.html")
    chat = page.generate(asyncapi=asyncapi, outline=outline, prose=prose, pretty=_pretty)
    return {
        "/openapi.json": StaticFile(JSON, msgspec.json.encode(openapi_document(endpoints)), READING_POLICY),
        "/asyncapi.json": StaticFile(JSON, msgspec.json.encode(asyncapi), READING_POLICY),
        "/docs/chat": StaticFile(HTML, chat, READING_POLICY),
    }


def read_viewer(page_folder: Path) -> dict[str, StaticFile]:
    """The viewer of the REST API by its paths; npm put Swagger UI into `page_folder`."""
    swagger = page_folder / VIEWER
    files = {
        "/docs/style.css": FOLDER / "style.css",
        "/docs/viewer.js": FOLDER / "viewer.js",
        "/docs/swagger-ui.css": swagger / "swagger-ui.css",
        "/docs/swagger-ui.js": swagger / "swagger-ui-bundle.js",
    }
    read = {path: _read(file) for path, file in files.items() if file.is_file()}
    index = _read(FOLDER / "viewer.html") if len(read) == len(files) else incomplete("swagger-ui-dist")
    return {"/docs": index, **read}


def _pretty(arguments: list[Any]) -> str:
    """`arguments` of an event as JSON, one below the other."""
    return "\n".join(msgspec.json.format(msgspec.json.encode(each)).decode() for each in arguments)


def _read(file: Path) -> StaticFile:
    return StaticFile(file.suffix, file.read_bytes(), VIEWER_POLICY)
