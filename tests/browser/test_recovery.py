"""A page in a real browser: reloading shows the history, three seconds without a network lose nothing.

make test-browser            needs Debian's chromium; the suite of `make test` has the same with Node's client
"""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from tests.system.js import FOLDER, JsClients
from tests.system.proxy import CuttingProxy
from tests.system.server import ServerProcess

CLIENT = FOLDER / "node_modules/socket.io-client/dist/socket.io.min.js"


class Files(http.server.BaseHTTPRequestHandler):
    """The page and the client, and nothing else."""

    def do_GET(self) -> None:
        is_client = self.path == "/socket.io.js"
        body = (CLIENT if is_client else Path(__file__).with_name("page.html")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_client else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def origin() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def shown(page: Page) -> list[str]:
    return page.locator("#messages li").all_text_contents()


def wait_for(page: Page, count: int) -> None:
    page.wait_for_function(f"document.querySelectorAll('#messages li').length >= {count}", timeout=20_000)


def say(js: JsClients, first: int, last: int) -> list[str]:
    texts = [f"message {number}" for number in range(first, last)]
    js.burst("bob", [{"content": text} for text in texts])
    js.expect("bob", "receive-message", len(texts))
    return texts


def test_reload_and_three_seconds_offline_lose_nothing(browser: Browser, origin: str, js: JsClients) -> None:
    with ServerProcess(CLIENT_URL=origin) as server, CuttingProxy(server.port) as proxy:
        js.join("bob", server.url, server.sign_up("bob"))
        context = browser.new_context()
        page = context.new_page()
        address = f"{proxy.url} {server.sign_up('ann')}"
        page.goto(f"{origin}/#{quote(address)}")
        page.wait_for_function("window.recovered.length === 1", timeout=20_000)
        texts = say(js, 0, 20)
        wait_for(page, 20)

        page.reload()
        wait_for(page, 20)
        assert shown(page) == texts

        context.set_offline(True)
        proxy.cut()
        texts += say(js, 20, 25)
        page.wait_for_timeout(3000)  # the time that is named
        assert len(shown(page)) == 20
        proxy.mend()
        context.set_offline(False)
        wait_for(page, 25)
        texts += say(js, 25, 26)
        wait_for(page, 26)
        assert shown(page) == texts
        assert page.evaluate("window.recovered") == [False, True]
        context.close()
