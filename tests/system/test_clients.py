"""The clients of docs/clients.md, verbatim, over a connection that is cut."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.system.js import FOLDER, JsClients
from tests.system.proxy import CuttingProxy
from tests.system.server import PATIENCE_SECONDS, ServerProcess

ANN = {"email": "ann@chat.test", "password": "correct horse"}
INTERPRETERS = {"js": ["node", "--input-type=module", "-"], "python": [sys.executable, "-"]}


def source(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", (ROOT / "docs/clients.md").read_text(), re.M | re.S)
    assert found is not None
    return found[1]


@contextmanager
def running(language: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """The client that docs/clients.md shows, for the server at `url`."""
    process = subprocess.Popen(
        INTERPRETERS[language], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    watch = threading.Timer(PATIENCE_SECONDS, process.kill)  # reading then ends
    watch.start()
    try:
        process.stdin.write(source(language).replace("http://localhost:3000", url))
        process.stdin.close()
        yield process
    finally:
        watch.cancel()
        process.kill()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


@pytest.mark.direct("the clients of the document trust no certificate made for a test")
@pytest.mark.parametrize("language", INTERPRETERS)
def test_a_client_of_the_document_shows_everything_once_and_in_order(js: JsClients, language: str) -> None:
    """The client misses 270 messages, then 2; the server sends the newest 5 to a new client."""
    with ServerProcess(HISTORY_ON_CONNECT="5") as server, CuttingProxy(server.port) as proxy:
        server.request("POST", "/register", {"name": "Ann", **ANN})
        js.join("bob", server.url, server.sign_up("bob"))
        with running(language, proxy.url) as client:
            first = [line.partition(", at ")[0] for line in lines(client, 3 if language == "js" else 2)]
            assert sorted(first) == sorted(["Ann: Hello!", "sent", *(["connected"] if language == "js" else [])])
            js.expect("bob", "receive-message")
            for count in (270, 2):
                proxy.cut()
                js.burst("bob", [{"content": f"{number}"} for number in range(count)])
                js.expect("bob", "receive-message", count)
                proxy.mend()
                if language == "js":
                    assert lines(client, 1) == ["back, nothing missed"]
                assert lines(client, count) == [f"bob: {number}" for number in range(count)]
            js.emit("bob", "send-message", {"content": "after"})
            assert lines(client, 1) == ["bob: after"]


@pytest.mark.direct("the clients of the document trust no certificate made for a test")
@pytest.mark.parametrize("language", INTERPRETERS)
def test_a_client_of_the_document_logs_in_again_where_its_token_has_ended(
    js: JsClients, language: str, tmp_path: Path
) -> None:
    """The server was restarted with another key."""
    database = f"sqlite:///{tmp_path}/chat.db"
    with ServerProcess(DATABASE_URL=database) as server:
        server.request("POST", "/register", {"name": "Ann", **ANN})
        with running(language, server.url) as client:
            assert any(line.startswith("sent") for line in lines(client, 3 if language == "js" else 2))
            server.stop()
            port, key = f"{server.port}", "another key of thirty-two bytes!"
            with ServerProcess(DATABASE_URL=database, SERVER_PORT=port, JWT_SECRET_KEY=key) as again:
                js.join("bob", again.url, again.sign_up("bob"))
                js.emit("bob", "send-message", {"content": "after"})
                assert any(lines(client, 1) == ["bob: after"] for _ in range(4))


async def test_the_python_client_shows_a_new_log_whose_offsets_sort_before_the_old_ones() -> None:
    """The server's clock was ahead before it was restarted. Within a log, what was shown is not shown again."""
    shown: list[str] = []
    client: dict[str, Any] = {}
    exec(source("python").removesuffix("asyncio.run(main())\n"), client)  # noqa: S102 - what the document shows
    client["show"] = shown.append
    room = client["Room"](http=None)
    old, new = ("0" * 13 + digit for digit in "91")
    room.arrived.put_nowait(("a", f"{old}-0000000001"))
    room.arrived.put_nowait(None)
    for content, number in (("b", 1), ("c", 2), ("c", 2), ("d", 3)):
        room.arrived.put_nowait((content, f"{new}-{number:010x}"))
    showing = asyncio.create_task(room.show_all())
    for _ in range(100):  # turns of the loop: the client takes one message or more in each
        await asyncio.sleep(0)
    showing.cancel()
    assert shown == ["a", "b", "c", "d"]
