"""The page's files: which are served, with which headers, and what there is instead when one is missing."""

import asyncio
import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest

from chatio.server.http.stream import HttpStream
from handlers.http.files import COPIED_BYTES, StaticFile
from handlers.rest.page import CLIENT_FILE, no_page, read_page
from tests.paths import ROOT
from tests.unit.handlers.rest_server import Answer, Rest

INDEX = "<!doctype html><title>Chat</title>"
POLICY = {
    "default-src": "'self'",
    "require-trusted-types-for": "'script'",
    **dict.fromkeys(["base-uri", "form-action", "frame-ancestors", "object-src", "trusted-types"], "'none'"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small, complete page, and beside it files that must not be served."""
    (tmp_path / "secret.js").write_text("outside")
    web = tmp_path / "web"
    client = web / CLIENT_FILE
    client.parent.mkdir(parents=True)
    client.write_text("export const io = null;")
    (client.parent / "other.js").write_text("not served")
    (web / "index.html").write_text(INDEX)
    (web / "main.js").write_text("'main'; " * 100)
    (web / "style.css").write_text("body {}")
    (web / "icon.svg").write_text("<svg/>")
    (web / "package.json").write_text("{}")
    return web


async def ask(rest: Rest, page: Mapping[str, StaticFile], method: str, path: str, **headers: str) -> Answer:
    rest.page = page
    rest.start()
    return await rest.call(method, path, **headers)


@pytest.mark.parametrize(
    ("path", "content_type", "text"),
    [
        ("/", "text/html; charset=utf-8", INDEX),
        ("/?utm=1", "text/html; charset=utf-8", INDEX),
        ("/web/main.js", "text/javascript; charset=utf-8", "'main'; " * 100),
        ("/web/style.css", "text/css; charset=utf-8", "body {}"),
        ("/web/icon.svg", "image/svg+xml", "<svg/>"),
        ("/web/socket.io.js", "text/javascript; charset=utf-8", "export const io = null;"),
    ],
)
async def test_file_has_type_and_policy(rest: Rest, folder: Path, path: str, content_type: str, text: str) -> None:
    answer = await ask(rest, read_page(folder), "GET", path)
    assert (answer.status, answer.body.decode()) == (200, text)
    assert answer.header("content-type") == content_type
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("referrer-policy") == "same-origin"
    assert answer.header("cross-origin-resource-policy") == "same-origin"
    assert answer.header("vary") == "Origin, Accept-Encoding"
    assert answer.header("server") is None
    policy = dict(part.split(maxsplit=1) for part in str(answer.header("content-security-policy")).split("; "))
    assert policy == POLICY


@pytest.mark.parametrize(
    "path",
    [
        *("/web/", "/web/index.html", "/web/package.json", "/web/../secret.js", "/web/..%2fsecret.js"),
        *("/web/%2e%2e/secret.js", "/web//etc/passwd", "/web/main.js/", "/web/main.js%00"),
        f"/web/{CLIENT_FILE}",
        "/web/node_modules/socket.io-client/dist/other.js",
        "/web/.npmrc",
        "//web/main.js",
        "/main.js",
    ],
)
async def test_nothing_else_is(rest: Rest, folder: Path, path: str) -> None:
    answer = await ask(rest, read_page(folder), "GET", path)
    assert answer.status == 404
    assert answer.json == {"message": "There is nothing at this address.", "code": "not_found"}


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", "deflate , gzip"])
async def test_client_that_accepts_gzip_gets_gzip_under_same_etag(rest: Rest, folder: Path, accepted: str) -> None:
    page = read_page(folder)
    plain = await ask(rest, page, "GET", "/web/main.js", Accept_Encoding="gzip;q=0, br")
    packed = await ask(rest, page, "GET", "/web/main.js", Accept_Encoding=accepted)
    assert plain.header("content-encoding") is None
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    assert packed.header("etag") == plain.header("etag")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_large_file_is_sent_without_a_copy(
    rest: Rest, folder: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """64 unread copies of the viewer for each address took 110 MB."""
    content = b"'large'" * COPIED_BYTES
    (folder / "main.js").write_bytes(content)
    page, sent, write = read_page(folder), list[object](), HttpStream.write

    def write_and_note(stream: HttpStream, data: bytes) -> "asyncio.Future[None]":
        sent.append(data)
        return write(stream, data)

    monkeypatch.setattr(HttpStream, "write", write_and_note)
    answer = await ask(rest, page, method, "/web/main.js")
    assert (answer.status, answer.header("content-length")) == (200, str(len(content)))
    assert answer.body == (content if method == "GET" else b"")
    assert sum(each is page["/web/main.js"].plain for each in sent) == (method == "GET")


async def test_an_accept_encoding_of_many_parts_is_not_read_to_its_end(rest: Rest, folder: Path) -> None:
    answer = await ask(rest, read_page(folder), "GET", "/web/main.js", Accept_Encoding="br," * 100 + "gzip")
    assert answer.header("content-encoding") is None


async def test_a_client_that_has_the_file_gets_304_until_it_changes(rest: Rest, folder: Path) -> None:
    etag = str((await ask(rest, read_page(folder), "GET", "/web/main.js")).header("etag"))
    again = await ask(rest, read_page(folder), "GET", "/web/main.js", If_None_Match=etag, Accept_Encoding="gzip")
    assert (again.status, again.body) == (304, b"")
    assert again.header("etag") == etag
    (folder / "main.js").write_text("'another'")
    changed = await ask(rest, read_page(folder), "GET", "/web/main.js", If_None_Match=etag)
    assert (changed.status, changed.body) == (200, b"'another'")


async def test_head_answers_as_get_without_the_body(rest: Rest, folder: Path) -> None:
    answer = await ask(rest, read_page(folder), "HEAD", "/")
    assert (answer.status, answer.header("content-length")) == (200, str(len(INDEX)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_the_page_is_only_read(rest: Rest, folder: Path, method: str) -> None:
    answer = await ask(rest, read_page(folder), method, "/")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(("gone", "name"), [(CLIENT_FILE, "socket.io-client"), ("index.html", "index.html")])
async def test_page_without_a_part_names_the_missing_one(rest: Rest, folder: Path, gone: str, name: str) -> None:
    (folder / gone).unlink()
    answer = await ask(rest, read_page(folder), "GET", "/")
    assert answer.status == 503
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    text = answer.body.decode()
    assert text.startswith(f"The page is missing {name}. ")
    assert text.count("\n") == 1
    assert (await ask(rest, read_page(folder), "GET", "/user")).status == 401


async def test_a_page_that_is_off_is_not_there(rest: Rest) -> None:
    assert (await ask(rest, {}, "GET", "/")).status == 404
    assert (await ask(rest, {}, "GET", "/web/main.js")).status == 404


def test_there_is_an_icon_for_each_number_of_unread_messages() -> None:
    files = read_page(ROOT / "web")
    shown = [files[f"/web/icon-{name}.svg"].plain.partition(b"<text")[2] for name in (*range(1, 10), "unread")]
    assert [text[text.index(b">") + 1 : text.index(b"</")].decode() for text in shown] == [*"123456789", "9+"]


def test_what_the_page_names_is_served() -> None:
    """Every module that one of ours imports, and every file that index.html wants; there is no bundler to tell."""
    files = read_page(ROOT / "web").keys() | {"/web/socket.io.js"}
    wanted = {"/web/main.js", "/web/style.css", "/web/icon.svg"}
    for path in (ROOT / "web").glob("*.js"):
        lines = path.read_text("utf-8").splitlines()
        imports = [line for line in lines if line.startswith(("import ", "export ")) and ' from "' in line]
        wanted |= {f"/web/{line.rpartition('./')[2].rstrip(';').rstrip(chr(34))}" for line in imports}
    assert len(wanted) > 10
    assert wanted <= files
    index = (ROOT / "web/index.html").read_text("utf-8")
    assert all(f'"{path}"' in index for path in ("/web/main.js", "/web/style.css", "/web/icon.svg"))
    assert "<style" not in index
    assert " style=" not in index


async def test_where_no_page_is_served_the_root_links_to_the_documents(rest: Rest) -> None:
    answer = await ask(rest, no_page(), "GET", "/")
    assert (answer.status, answer.header("content-type")) == (200, "text/html; charset=utf-8")
    assert '<a href="/docs">' in answer.body.decode()
    assert (await ask(rest, no_page(), "GET", "/web/main.js")).status == 404
