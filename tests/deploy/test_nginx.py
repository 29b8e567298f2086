"""deploy/nginx.conf in a real nginx: added headers, passed requests, private logs."""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from tests.system.js import JsClients
from tests.system.nginx import CONFIGURATION, MANY, Nginx, certificate
from tests.system.server import ServerProcess, await_until

HTML = "text/html,application/xhtml+xml"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: str


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess(TRUSTED_PROXIES="127.0.0.1") as process:
        yield process


@pytest.fixture
def nginx(server: ServerProcess) -> Iterator[Nginx]:
    with Nginx(server.port) as running:
        (running.page / "index.html").write_text("<title>the page</title>" + " " * 2000)
        (running.page / "assets").mkdir()
        (running.page / "assets" / "index-4711.js").write_text("'the script'" + " " * 2000)
        yield running


def ask(nginx: Nginx, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    connection = http.client.HTTPSConnection("127.0.0.1", nginx.port, timeout=20, context=certificate().context)
    connection.request(
        method, path, body or None, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    names = [name.lower() for name, _ in answer.getheaders() if name.lower() != "vary"]  # which is a list
    assert len(names) == len(set(names)), f"a header stands there twice: {names}"
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)


def test_the_configuration_is_sound_and_nginx_has_nothing_to_say_of_it(nginx: Nginx) -> None:
    done = nginx.test()
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not line.startswith("nginx: ")] == []
    assert "[warn]" not in done.stderr


@pytest.mark.parametrize("path", ["/", "/login", "/register", "/a/room/of/tomorrow"])
def test_a_browser_that_navigates_is_given_the_page(nginx: Nginx, path: str) -> None:
    answer = ask(nginx, "GET", path, Accept=HTML)
    assert (answer.status, answer.body[:23]) == (200, "<title>the page</title>")
    assert answer.headers["cache-control"] == "no-cache"


def test_files_of_a_release_are_kept_by_browsers_and_sent_small(nginx: Nginx) -> None:
    answer = ask(nginx, "GET", "/assets/index-4711.js", Accept_Encoding="gzip")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "max-age=315360000"
    assert answer.headers["content-encoding"] == "gzip"


def test_the_pages_own_requests_reach_the_server(nginx: Nginx) -> None:
    missing = ask(nginx, "GET", "/user", Accept="application/json")
    assert (missing.status, json.loads(missing.body)) == (401, {"message": "Missing Token"})
    assert ask(nginx, "GET", "/nowhere").status == 404
    wrong = ask(nginx, "GET", "/login")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST, OPTIONS")
    typed = {"Content_Type": "application/json", "Accept": HTML}
    assert ask(nginx, "POST", "/login", b"{}", **typed).status == 400  # it wants HTML, and it is no navigation


@pytest.mark.parametrize("path", ["/", "/user", "/assets/none", "/socket.io/?EIO=4&transport=polling"])
def test_every_answer_has_the_security_headers_once(nginx: Nginx, path: str) -> None:
    headers = ask(nginx, "GET", path).headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["x-content-type-options"] == "nosniff"
    # The server's own page, where no build of another lies before it, says it for itself.
    own = path == "/"
    assert headers["referrer-policy"] == ("same-origin" if own else "strict-origin-when-cross-origin")
    assert ("default-src 'self'" in headers["content-security-policy"]) is own
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["server"] == "nginx"


def test_without_tls_one_is_sent_to_where_it_is(nginx: Nginx) -> None:
    connection = http.client.HTTPConnection(nginx.plain_url.removeprefix("http://"), timeout=20)
    connection.request("POST", "/login?next=1", b"{}", {"Host": "chat.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, "https://chat.example/login?next=1")
    connection.close()


@pytest.mark.parametrize(("length", "status"), [(16 * 1024, 400), (16 * 1024 + 1, 413), (1024 * 1024, 413)])
def test_body_that_is_too_large_is_refused_in_servers_own_words(nginx: Nginx, length: int, status: int) -> None:
    answer = ask(nginx, "POST", "/register", b" " * length, Content_Type="application/json")
    assert answer.status == status
    assert json.loads(answer.body)["message"]


@pytest.mark.parametrize(("length", "status"), [(1_000_000, 200), (1_000_001, 413)])
def test_polling_body_passes_up_to_its_limit(
    server: ServerProcess, nginx: Nginx, length: int, status: int
) -> None:
    path = "/socket.io/?EIO=4&transport=polling"
    path += "&sid=" + json.loads(ask(nginx, "GET", path).body[1:])["sid"]
    joining = "40/chat," + json.dumps({"token": server.sign_up("ann")})
    assert ask(nginx, "POST", path, joining.encode()).status == 200
    assert ask(nginx, "GET", path).body.startswith("40/chat,")
    answer = ask(nginx, "POST", path, b"3\x1e" * ((length - 1) // 2) + b"3" * (2 - length % 2))
    assert answer.status == status


def test_body_that_the_server_would_not_read_stops_at_nginx(nginx: Nginx) -> None:
    answer = ask(nginx, "POST", "/register", b" " * 1_200_000)
    assert (answer.status, "<html>" in answer.body) == (413, True)


def test_the_address_that_counts_is_the_clients_whatever_it_claims(server: ServerProcess, nginx: Nginx) -> None:
    """The server logs a refused session with the address that it trusts."""
    path = "/socket.io/?EIO=4&transport=polling&sid=nobody's"
    connection = http.client.HTTPSConnection(
        "127.0.0.1", nginx.port, timeout=20, context=certificate().context, source_address=("127.0.0.9", 0)
    )
    connection.request("GET", path, headers={"X-Forwarded-For": "203.0.113.7"})
    assert connection.getresponse().status == 400
    connection.close()
    server.stop()
    (line,) = [line for line in server.lines if "refused" in line]
    assert "from 127.0.0.9 " in line


def test_no_log_of_nginx_has_a_query(server: ServerProcess, nginx: Nginx) -> None:
    sid = json.loads(ask(nginx, "GET", "/socket.io/?EIO=4&transport=polling").body[1:])["sid"]
    server.stop()
    for path in (f"/socket.io/?EIO=4&transport=polling&sid={sid}", "/user?token=hunter2"):
        assert ask(nginx, "GET", path).status == 502
    await_until(lambda: nginx.access.read_text().count(" 502 ") == 2, "both are logged")
    assert "/socket.io/ HTTP/1.1" in nginx.access.read_text()
    assert "hunter2" not in nginx.access.read_text()
    for log in (nginx.access, nginx.errors):
        assert sid not in log.read_text()


def test_clients_come_back_to_a_server_that_was_away_behind_nginx(server: ServerProcess, nginx: Nginx) -> None:
    ways: list[list[str]] = [["websocket"], ["polling"], ["polling", "websocket"]]
    with JsClients(trusted=certificate().path) as js:
        token = server.sign_up("ann")
        for transports in ways:
            name = "-".join(transports)
            js.join(name, nginx.url, token, transports=transports, reconnectionDelay=50, reconnectionDelayMax=100)
        server.stop()
        for transports in ways:
            js.expect("-".join(transports), "connect_error", 2)  # nginx says 502
        with ServerProcess(SERVER_PORT=str(server.port)):
            for transports in ways:
                js.expect("-".join(transports), "connect")


# Several servers


def test_the_configuration_for_several_servers_differs_in_their_addresses_only() -> None:
    one, many = CONFIGURATION.read_text(), MANY.read_text()
    upstreams = re.compile(
        r"(?s)(    # Clients without a session, .*?)?    upstream chatio \{.*?(?=    server \{)"
    )
    head = re.compile(r"(?s)\A.*?(?=# Change for your machine)")
    routed = "http://$chatio_of_session;\n            proxy_next_upstream error timeout http_503;"
    changed = many.replace(routed, "http://chatio;")
    assert upstreams.sub("", head.sub("", changed)) == upstreams.sub("", head.sub("", one))


def test_a_session_stays_at_its_server_and_is_unknown_when_that_has_gone() -> None:
    with (
        ServerProcess(TRUSTED_PROXIES="127.0.0.1") as one,
        ServerProcess(TRUSTED_PROXIES="127.0.0.1") as two,
        Nginx(one.port, two.port) as nginx,
    ):
        assert nginx.test().returncode == 0
        assert "[warn]" not in nginx.test().stderr
        ways = {sid: ask(nginx, "GET", f"/socket.io/?EIO=4&transport=polling&sid={sid}.x") for sid in "12"}
        assert {answer.status for answer in ways.values()} == {400}
        assert "chatio_2" in nginx.configuration.read_text()
        two.stop()
        assert ask(nginx, "GET", "/socket.io/?EIO=4&transport=polling&sid=2.x").status == 502
        for _ in range(4):
            assert ask(nginx, "GET", "/socket.io/?EIO=4&transport=polling").status == 200
