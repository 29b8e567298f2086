"""deploy/chatio.service, chatio.socket and install.sh, as systemd and shellcheck see them."""

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from chatio.stores.sqlite.file import APPLICATION_ID
from tests.paths import ROOT
from tests.unit.test_documents import missing_links

DEPLOY = ROOT / "deploy"
MOST_EXPOSURE = 1.5
SETTINGS = "LOG_LEVEL=ERROR\nDATABASE_URL=postgresql://127.0.0.1/chat\n"
PYTHON = "/opt/chatio/current/.venv/bin/python"


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, of the templates the first instance, with a Python that is there."""
    copies = []
    for name in ("chatio.service", "chatio.socket", "chatio@.service", "chatio@.socket"):
        copies.append(tmp_path / name.replace("@.", "@1."))
        copies[-1].write_text((DEPLOY / name).read_text().replace(PYTHON, sys.executable))
    return copies


def test_systemd_has_nothing_to_say_against_the_units(units: list[Path]) -> None:
    done = run("systemd-analyze", "verify", *units)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_exposed_to_little(units: list[Path]) -> None:
    done = run("systemd-analyze", "security", "--offline=true", units[0])
    found = re.search(r"Overall exposure level for chatio\.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= MOST_EXPOSURE


def test_the_proxy_knows_the_port_of_the_socket() -> None:
    (listening,) = re.findall(r"ListenStream=(.+)", (DEPLOY / "chatio.socket").read_text())
    assert f"server {listening};" in (DEPLOY / "nginx-site.conf").read_text()


def test_the_template_for_several_servers_is_the_service_but_for_names_and_data() -> None:
    for name in ("chatio.service", "chatio.socket"):
        one = (DEPLOY / name).read_text().splitlines()
        many = (DEPLOY / name.replace(".", "@.")).read_text()
        ours = ("StateDirectory", "ListenStream", "#", "Description", "After", "Requires")
        assert [line for line in one if line not in many and not line.startswith(ours)] == []
    socket = (DEPLOY / "chatio@.socket").read_text()
    upstreams = (DEPLOY / "nginx-site-many.conf").read_text()
    (listening,) = re.findall(r"ListenStream=(.+)", socket)
    assert all(f"server {listening.replace('%i', instance)};" in upstreams for instance in "12")


def test_the_settings_that_come_with_it_are_sound() -> None:
    done = run(sys.executable, ROOT / "main.py", "--check", "--env-file", DEPLOY / "chatio.env")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_scripts_are_sound_for_every_shell() -> None:
    scripts = [DEPLOY / "install.sh", *(ROOT / "tools").glob("*.sh")]
    done = run("shellcheck", *scripts)
    assert (done.returncode, done.stdout) == (0, "")
    for script in scripts:
        assert run("dash", "-n", script).returncode == 0


class Machine:
    """A folder that install.sh takes for the root of one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opt, self.etc = root / "opt/chatio", root / "etc/chatio"
        self.units = root / "etc/systemd/system"

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        return run("sh", DEPLOY / "install.sh", "--root", self.root, *options)

    @property
    def current(self) -> str:
        return os.readlink(self.opt / "current")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def test_a_machine_is_installed_upgraded_set_back_and_left_as_it_was(machine: Machine) -> None:
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert "chatio.env: set CLIENT_URL" in done.stdout
    first, key = machine.current, (machine.etc / "jwt_secret_key").read_text()
    assert (machine.etc / "jwt_secret_key").stat().st_mode & 0o777 == 0o600
    assert len(key.strip()) >= 32
    release = machine.opt / "current"
    for page in [release / "README.md", *release.glob("docs/**/*.md")]:
        assert missing_links(page, page.read_text("utf-8")) == set()
    for unit in ("chatio.service", "chatio.socket"):
        assert (machine.units / unit).read_text() == (DEPLOY / unit).read_text()
    checked = run(
        machine.opt / "current/.venv/bin/python", machine.opt / "current/main.py", "--check", JWT_SECRET_KEY=key
    )
    assert checked.returncode == 0, checked.stderr

    (machine.etc / "chatio.env").write_text(SETTINGS)
    done = run("sh", release / "deploy/install.sh", "--root", machine.root, "--instances", "2")
    assert done.returncode == 0, done.stderr
    assert (machine.etc / "instances").read_text() == "2\n"
    second = machine.current
    assert second != first
    assert (machine.etc / "jwt_secret_key").read_text() == key
    assert (machine.etc / "chatio.env").read_text() == SETTINGS

    (machine.etc / "chatio.env").write_text("LOG_LEVEL=LOUD\n")
    unsound = machine.install()
    assert unsound.returncode == 1
    assert "LOG_LEVEL must be DEBUG" in unsound.stderr
    assert key.strip() not in unsound.stderr + unsound.stdout
    assert machine.current == second
    assert sorted(path.name for path in (machine.opt / "releases").iterdir()) == [first[9:], second[9:]]

    database = machine.root / "chat.db"
    (machine.etc / "chatio.env").write_text(f"DATABASE_URL=sqlite:///{database}\n")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 999")
    too_new = machine.install("--rollback", "--instances", "1")
    assert too_new.returncode == 1
    assert "the database has schema 999" in too_new.stderr
    assert machine.current == second
    database.unlink()
    assert machine.install("--rollback", "--instances", "1").returncode == 0
    assert (machine.etc / "instances").read_text() == "1\n"
    assert machine.current == first
    assert machine.install("--uninstall").returncode == 0
    assert not machine.opt.exists()
    assert not list(machine.units.iterdir())
    assert (machine.etc / "jwt_secret_key").read_text() == key
    unasked = machine.install("--purge")
    assert (unasked.returncode, "needs a yes" in unasked.stderr) == (1, True)
    assert machine.etc.exists()
    assert machine.install("--purge", "--yes").returncode == 0
    assert not machine.etc.exists()


def test_purge_asks_at_a_terminal_and_takes_only_yes(machine: Machine) -> None:
    machine.etc.mkdir(parents=True)
    for answer, is_kept in (("y", True), ("yes", False)):
        controller, terminal = os.openpty()
        os.write(controller, f"{answer}\n".encode())
        command = ["sh", str(DEPLOY / "install.sh"), "--root", str(machine.root), "--purge"]
        done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, check=False)
        os.close(controller)
        os.close(terminal)
        assert "all accounts and messages" in done.stdout
        assert (done.returncode, machine.etc.exists()) == (1 if is_kept else 0, is_kept)


def test_help_names_each_option() -> None:
    done = run("sh", DEPLOY / "install.sh", "--help")
    script = (DEPLOY / "install.sh").read_text()
    assert (done.returncode, done.stdout.splitlines()[-1].startswith("set")) == (0, False)
    options = re.findall(r"^            (?:-h \| )?(--\w+)\)", script, re.MULTILINE)
    assert len(options) >= 6
    assert all(option in done.stdout for option in options)


@pytest.mark.parametrize("options", [["--what"], ["--root"], ["--instances", "10"]])
def test_what_is_no_option_changes_nothing(options: list[str], machine: Machine) -> None:
    done = run("sh", DEPLOY / "install.sh", *options)
    assert done.returncode == 1
    assert done.stderr.startswith("install.sh: ")
