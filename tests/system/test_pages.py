"""The commands of docs/quickstart.md, docs/protocol.md and the README, pasted as they are and run."""

import re
import subprocess

import pytest

from tests.paths import ROOT
from tests.system.server import ServerProcess

DIRECT = pytest.mark.direct("curl trusts no certificate made for a test")


def commands(page: str) -> str:
    """Every command of `page` that asks a running server, in one script."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(block for block in blocks if "localhost:3000/" in block)


def run(script: str, server: ServerProcess) -> str:
    script = script.replace("localhost:3000", server.url.removeprefix("http://"))
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, check=False)
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
def test_the_commands_of_the_readme_do_what_it_says(server: ServerProcess) -> None:
    said = run(commands("README.md"), server)
    assert "201" in said.splitlines()[0]
    assert said.splitlines()[-1].startswith('{"message":"User registered."}{"token":"')
