"""A real nginx with the site of deploy/ beside another one, on free ports and with a certificate of its own."""

import functools
import os
import re
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.paths import ROOT
from tests.ports import free_port

SITE = ROOT / "deploy" / "nginx-site.conf"

# As Debian's nginx.conf, with the limits that operations.md asks for, as far as this machine allows them.
MACHINE = """\
{user}
pid {folder}/nginx.pid;
worker_processes 2;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log {folder}/others.log;
    gzip on;
    include {folder}/sites-enabled/*;
}}
"""
# The site that was there before.
OTHER = """\
map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
server {{
    listen 127.0.0.1:{port} ssl;
    server_name other.example;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ return 200 "the other site"; }}
}}
"""
MANY = ROOT / "deploy" / "nginx-site-many.conf"
PATIENCE_SECONDS = 20.0
# How many servers on one PostgreSQL each server of the system tests is (`make test-many`).
SERVERS = int(os.environ.get("CHATIO_TESTS_SERVERS", "1"))
# Whether every server of the system tests stands behind nginx (`make test-nginx`).
STANDS_BEFORE_ALL = SERVERS > 1 or os.environ.get("CHATIO_TESTS_NGINX") == "1"


class Certificate:
    """A self-signed certificate for 127.0.0.1; a client that trusts `path` trusts it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chatio-tls-")
        self.path, self.key_path = Path(self._folder.name, "certificate.pem"), Path(self._folder.name, "key.pem")
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=chat.test"
        )
        names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-out", str(self.path), "-keyout", str(self.key_path)]
        subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))


@functools.cache
def certificate() -> Certificate:
    """The certificate of the whole run."""
    return Certificate()


class Nginx:
    """Starts on entering, on `port` or a free one, before the server at each of `upstream_ports`.

    Several servers are called "1", "2" and so on, in their order. Each of nginx's processes has so many
    `connections`; this machine may allow fewer than an operator sets.
    """

    def __init__(self, *upstream_ports: int, port: int = 0, connections: int = 2048) -> None:
        self.port, self._plain_port = port or free_port(), free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="chatio-nginx-")
        self.folder = Path(self._folder.name)
        self.page = self.folder / "page"
        self.page.mkdir()
        self.url = f"https://127.0.0.1:{self.port}"
        self.plain_url = f"http://127.0.0.1:{self._plain_port}"
        self.configuration = self.folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        self.configuration.write_text(MACHINE.format(user=user, folder=self.folder, connections=connections))
        if len(upstream_ports) == 1:
            text = _replaced(SITE.read_text(), {r"server 127\.0\.0\.1:3000;": _server(upstream_ports[0])})
        else:
            text = for_servers(MANY.read_text(), upstream_ports)
        sites = self.folder / "sites-enabled"
        sites.mkdir()
        self.site = sites / "chatio"
        self.site.write_text(self._configured(text))
        other = OTHER.format(port=self.port, certificate=certificate().path, key=certificate().key_path)
        (sites / "other").write_text(other)
        self._command = ["nginx", "-p", str(self.folder), "-c", str(self.configuration), "-e", str(self.errors)]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen([*self._command, "-g", "daemon off;"])
        with ExitStack() as undoing:
            undoing.push(self)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not _accepts(self.port):
                is_starting = self.process.poll() is None and time.monotonic() < deadline
                assert is_starting, self.errors.read_text()
                time.sleep(0.01)
            undoing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        self._folder.cleanup()

    @property
    def errors(self) -> Path:
        return self.folder / "error.log"

    @property
    def access(self) -> Path:
        return self.folder / "access.log"

    def test(self) -> subprocess.CompletedProcess[str]:
        """`nginx -t`."""
        return subprocess.run([*self._command, "-t"], capture_output=True, text=True, check=False)

    def _configured(self, text: str) -> str:
        """The configuration as an operator would write it for this place; nothing else is changed."""
        changes = {
            r"/var/log/nginx/": f"{self.folder}/",
            r"listen \[::\]:.*;": "",
            r"listen 80;": f"listen 127.0.0.1:{self._plain_port};",
            r"listen 443 ": f"listen 127.0.0.1:{self.port} ",
            r"/etc/letsencrypt/live/chat\.example/fullchain\.pem": str(certificate().path),
            r"/etc/letsencrypt/live/chat\.example/privkey\.pem": str(certificate().key_path),
            r"/srv/chatio/page": str(self.page),
        }
        return _replaced(text, changes)


def for_servers(text: str, ports: Sequence[int]) -> str:
    """nginx-site-many.conf for the servers at `ports`, as its first lines say it."""
    numbered = list(enumerate(ports, 1))
    upstream = re.search(r"upstream chatio_1 \{.*?\n\}\n", text, re.DOTALL)
    assert upstream is not None
    upstreams = [upstream[0].replace("_1 ", f"_{name} ").replace(":3001", f":{port}") for name, port in numbered]
    return _replaced(
        text,
        {
            r"(?s)upstream chatio_1 .*?\n\}\nupstream chatio_2 .*?\n\}\n": "".join(upstreams),
            r"(?s)    server 127\.0\.0\.1:3001 max_fails=0;\n.*?:3002 max_fails=0;": "\n".join(
                f"    server 127.0.0.1:{port} max_fails=0;" for port in ports
            ),
            r"(?s)    ~\^1\S*\s+chatio_1;\n.*?chatio_2;": "\n".join(
                rf"    ~^{name}\\.   chatio_{name};" for name, _ in numbered
            ),
        },
    )


def _replaced(text: str, changes: dict[str, str]) -> str:
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, replacement, text)
        assert count, f"{pattern} is not in the configuration any more"
    return text


def _server(port: int) -> str:
    return f"server 127.0.0.1:{port};"


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True
