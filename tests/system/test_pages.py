"""The commands and the client of the documents, pasted as they are and run."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.system.js import FOLDER
from tests.system.server import PATIENCE_SECONDS, SECRET, ServerProcess

DIRECT = pytest.mark.direct("curl trusts no certificate made for a test")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: str) -> str:
    """Every command of `page` that asks a running server, in one script."""
    return "\n".join(block for block in blocks(page, "sh") if "localhost:3000/" in block)


def run(script: str, server: ServerProcess) -> str:
    script = script.replace("localhost:3000", server.url.removeprefix("http://"))
    # Unmeasured: the commands of main.py have tests of their own, and each would take twice as long.
    environ = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_START"}
    done = subprocess.run(["sh", "-eu"], input=script, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@DIRECT
def test_the_commands_of_quickstart_and_protocol_do_what_they_say(server: ServerProcess) -> None:
    said = run(commands("docs/quickstart.md"), server)
    assert said.startswith('{"message":"User registered."}{"token":"')
    assert said.endswith('{"messages":[],"before":null}')
    said = run(commands("docs/protocol.md"), server)
    answers = re.fullmatch(
        r'ok40/chat,\{"sid":"[^"]+","pid":"[^"]+"\}'
        r'ok42/chat,\["receive-message",(\{.*\}),"([^"]+)"\]\x1e43/chat,1\[(\{.*\})\]ok',
        said,
    )
    assert answers is not None, said
    assert '"author_name":"Dev"' in answers[1]
    assert f'"offset":"{answers[2]}"' in answers[3]


@DIRECT
def test_the_commands_and_the_client_of_the_readme_do_what_it_says(server: ServerProcess) -> None:
    said = run(commands("README.md"), server)
    assert "201" in said.splitlines()[0]
    assert said.splitlines()[-1].startswith('{"message":"User registered."}{"token":"')
    (client,) = blocks("README.md", "js")
    process = subprocess.Popen(
        ["node", "--input-type=module", "-"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    watch = threading.Timer(PATIENCE_SECONDS, process.kill)  # reading then ends
    watch.start()
    process.stdin.write(client.replace("http://localhost:3000", server.url))
    process.stdin.close()
    first = [process.stdout.readline() for _ in range(3)]
    watch.cancel()
    process.kill()
    process.wait(PATIENCE_SECONDS)
    process.stdout.close()
    assert "Ann: Hello!\n" in first
    assert any("ok: true" in line for line in first)


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[tuple[ServerProcess, Path]]:
    """A server on a SQLite file, and its file of settings."""
    database, settings = f"sqlite:///{tmp_path}/chat.db", tmp_path / "settings"
    settings.write_text(f"DATABASE_URL={database}\nJWT_SECRET_KEY={SECRET}\n")
    with ServerProcess(DATABASE_URL=database) as server:
        yield server, settings


@DIRECT
def test_the_commands_of_the_operator_do_what_moderation_says(
    beside: tuple[ServerProcess, Path], tmp_path: Path
) -> None:
    server, settings = beside
    for name in ("ann", "eve"):
        server.sign_up(name)
    promote, on_the_machine = (block for block in blocks("docs/moderation.md", "sh") if "main.py" in block)
    command = f"{sys.executable} {ROOT}/main.py --env-file {settings}"
    script = f"cd {tmp_path}\n" + (promote + on_the_machine).replace(".venv/bin/python main.py", command)
    said = run(script, server)
    assert "reset-password" in said  # of --help
    assert '"name":"ann"' in said.replace(": ", ":")
    assert '"role":"owner"' in (tmp_path / "ann.json").read_text()
    login = {"email": "eve@chat.test", "password": "eve's password"}
    assert server.request("POST", "/login", login).status == 404


@DIRECT
def test_a_server_without_the_page_links_to_its_documents() -> None:
    with ServerProcess(SERVE_PAGE="off") as server:
        assert 'href="/docs"' in run("curl -sf localhost:3000/", server)
