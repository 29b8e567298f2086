"""A real nginx with the site of deploy/ beside another one, on free ports and with a certificate of its own."""

import functools
import os
import re
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.paths import ROOT

SITE = ROOT / "deploy" / "nginx-site.conf"

# As Debian's nginx.conf, with the limits that operations.md asks for, as far as this machine allows them.
MACHINE = """\
{user}
pid {folder}/nginx.pid;
worker_processes 2;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
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
PATIENCE_SECONDS = 20.0
# Whether every server of the system tests stands behind it (`make test-nginx`).
STANDS_BEFORE_ALL = os.environ.get("CHATIO_TESTS_NGINX") == "1"


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
    """Starts on entering before the server at `upstream_port`, on `port` or a free one."""

    def __init__(self, upstream_port: int, *, port: int = 0) -> None:
        self.port, self._plain_port = port or _free_port(), _free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="chatio-nginx-")
        self.folder = Path(self._folder.name)
        self.page = self.folder / "page"
        self.page.mkdir()
        self.url = f"https://127.0.0.1:{self.port}"
        self.plain_url = f"http://127.0.0.1:{self._plain_port}"
        self.configuration = self.folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        self.configuration.write_text(MACHINE.format(user=user, folder=self.folder))
        sites = self.folder / "sites-enabled"
        sites.mkdir()
        (sites / "chatio").write_text(self._configured(SITE.read_text(), upstream_port))
        other = OTHER.format(port=self.port, certificate=certificate().path, key=certificate().key_path)
        (sites / "other").write_text(other)
        self._command = ["nginx", "-p", str(self.folder), "-c", str(self.configuration), "-e", str(self.errors)]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen([*self._command, "-g", "daemon off;"])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _accepts(self.port):
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
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

    def _configured(self, text: str, upstream_port: int) -> str:
        """The configuration as an operator would write it for this place; nothing else is changed."""
        for pattern, replacement in {
            r"/var/log/nginx/": f"{self.folder}/",
            r"listen \[::\]:.*;": "",
            r"listen 80;": f"listen 127.0.0.1:{self._plain_port};",
            r"listen 443 ": f"listen 127.0.0.1:{self.port} ",
            r"/etc/letsencrypt/live/chat\.example/fullchain\.pem": str(certificate().path),
            r"/etc/letsencrypt/live/chat\.example/privkey\.pem": str(certificate().key_path),
            r"server 127\.0\.0\.1:3000;": f"server 127.0.0.1:{upstream_port};",
            r"/srv/chatio/page": str(self.page),
        }.items():
            text, count = re.subn(pattern, replacement, text)
            assert count, f"{pattern} is not in {SITE.name} any more"
        return text


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True
