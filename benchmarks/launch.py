"""Starts a server on a port of its own, waits until it answers, runs a scenario against it, and stops it."""

import json
import os
import re
import resource
import secrets
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from benchmarks.databases import database
from benchmarks.plan import BEFORE, BUN, MEASURED, NODE, OURS, PLAIN, POSTGRES, SQLITE, THROTTLED, Scenario
from chatio.config.settings import Settings
from tests.ports import await_port, free_port

HERE = Path(__file__).parent
RESULTS = HERE / "results"
_NO_FILE = ("--env-file", os.devnull)  # a .env would make two checkouts differ
OWN_COMMAND = shlex.join(["python", "main.py", *_NO_FILE])
START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_SCENARIO_SECONDS = 240.0
_SPARE_FILES = 200
_SCRAPE_SECONDS = 1.0
# Names of rate limits: LOGINS_PER_MINUTE, MESSAGE_BURST, FLOOD_EVENTS and their like.
_RATE_LIMIT = re.compile("_per_|_burst|^flood_")


class BenchmarkError(Exception):
    """A server did not start, or a scenario did not come to its end; the text is for the operator."""


def commands(ours: str, baseline: Path | None) -> dict[str, list[str]]:
    """The command of each server, run from the root of the repository; `baseline`: the checkout of `BEFORE`."""
    this = [sys.executable, *shlex.split(ours)[1:]] if ours.startswith("python ") else shlex.split(ours)
    before = [] if baseline is None else [str(baseline / ".venv/bin/python"), str(baseline / "main.py"), *_NO_FILE]
    return {
        OURS: this,
        BEFORE: before,
        THROTTLED: this,
        MEASURED: this,
        SQLITE: this,
        POSTGRES: this,
        NODE: [shutil.which("node") or "node", str(HERE / "servers" / "node_server.js")],
        BUN: [str(_bun()), str(HERE / "servers" / "bun_server.mjs")],
        PLAIN: [sys.executable, "-m", "benchmarks.servers.plain_server"],
    }


def _bun() -> Path:
    """The program of Bun: npm installs the one package of it that fits the machine."""
    return next((HERE / "node_modules" / "@oven").glob("bun-*/bin/bun"), Path("bun"))


def basic_settings(port: int, secret: str) -> dict[str, str]:
    """The settings that every measured server has."""
    return {
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
        "JWT_SECRET_KEY": secret,
        "CLIENT_URL": "*",
        "OVERLOAD_LAG_SECONDS": "0",
        "HISTORY_ON_CONNECT": "0",
        "PRESENCE": "off",
    }


def limits(server: str) -> dict[str, str]:
    """Rate limits of `server` as settings: off, or for `THROTTLED` on and each as high as allowed."""
    if server != THROTTLED:
        return {"RATE_LIMITS": "off"}
    highest = {
        field.name.upper(): str(meta.le)
        for field in msgspec.structs.fields(Settings)
        if _RATE_LIMIT.search(field.name)
        for meta in field.type.__metadata__
        if meta.le is not None
    }
    return {"RATE_LIMITS": "on", **highest}


def raise_file_limit() -> int:
    """Raise the limit of open files, for child processes too. Returns how many clients it allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - _SPARE_FILES


@dataclass(frozen=True)
class Server:
    pid: int
    port: int
    secret: str


@contextmanager
def running(name: str, command: list[str], cwd: Path = HERE.parent, /, **settings: str) -> Iterator[Server]:
    """A fresh server; its output goes to `results/NAME.log`. BenchmarkError if it does not listen within 15 s.

    `settings`: more variables of its environment.
    """
    RESULTS.mkdir(exist_ok=True)
    port, secret = free_port(), secrets.token_hex(32)
    environment = os.environ | basic_settings(port, secret) | limits(name)
    metrics_port = free_port() if name == MEASURED else None
    if metrics_port is not None:
        environment["METRICS_PORT"] = str(metrics_port)
    with ExitStack() as stack:
        environment |= {"DATABASE_URL": stack.enter_context(database(name)), **settings}
        log = stack.enter_context((RESULTS / f"{name}.log").open("w"))
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log)
        try:
            try:
                await_port(port, START_SECONDS, is_alive=lambda: process.poll() is None)
            except TimeoutError:
                raise BenchmarkError(
                    f"{name} did not start; its output is in benchmarks/results/{name}.log"
                ) from None
            with _scraped(metrics_port):
                yield Server(process.pid, port, secret)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _scraped(metrics_port: int | None) -> Iterator[None]:
    """Read the metrics at that port every second meanwhile, if there is one; Prometheus' default is a minute."""
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(_SCRAPE_SECONDS):
            with urllib.request.urlopen(
                f"http://127.0.0.1:{metrics_port}/metrics", timeout=_STOP_SECONDS
            ) as answer:
                assert b"chatio_deliveries_total" in answer.read()

    scraping = threading.Thread(target=scrape)
    if metrics_port is not None:
        scraping.start()
    try:
        yield
    finally:
        done.set()
        if metrics_port is not None:
            scraping.join()


def run_scenario(scenario: Scenario, server: Server) -> dict[str, float]:
    """The figures of a scenario, run by a load process. BenchmarkError if that lost a client or took too long."""
    job = {**asdict(server), "upgraded": scenario.upgraded, "steps": [asdict(step) for step in scenario.steps]}
    command = [sys.executable, "-m", "benchmarks.load"]
    try:
        done = subprocess.run(
            command,
            cwd=HERE.parent,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=_SCENARIO_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"took more than {_SCENARIO_SECONDS:.0f} s") from error
    if done.returncode:
        raise BenchmarkError(done.stderr.strip())
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
