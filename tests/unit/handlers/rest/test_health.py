"""GET /healthz and GET /readyz: what they answer, and when."""

import asyncio
import logging

import pytest

import chatio
from tests.unit.handlers.rest_server import ORIGIN, Rest


async def test_healthz_says_that_it_answers_and_which_version(rest: Rest) -> None:
    answer = await rest.call("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok", "version": chatio.__version__})
    assert answer.header("cache-control") == "no-store"
    assert answer.header("access-control-allow-origin") == ORIGIN


async def test_readyz_tells_the_first_reason_that_holds_and_no_other(rest: Rest) -> None:
    holds = {"stopping": False, "overloaded": False, "full": False}
    rest.readiness.update({reason: lambda reason=reason: holds[reason] for reason in holds})  # type: ignore[misc]
    answer = await rest.call("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ready"})
    for reason in ("full", "overloaded", "stopping"):
        holds[reason] = True
        answer = await rest.call("GET", "/readyz")
        assert (answer.status, answer.json) == (503, {"status": "not ready", "reason": reason})
        assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_answers_during_a_drain(rest: Rest, caplog: pytest.LogCaptureFixture, path: str) -> None:
    caplog.set_level(logging.DEBUG, "chatio")
    rest.readiness["stopping"] = lambda: True
    rest.lifecycle.drain()
    assert await rest.requests.finish(1)
    assert (await rest.call("POST", "/login", {})).status == 503
    caplog.clear()
    answer = await rest.call("GET", path)
    assert answer.status == (200 if path == "/healthz" else 503)
    assert answer.header("retry-after") is None
    assert caplog.records == []
    async with asyncio.timeout(5):
        await rest.requests.wait_idle()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz/", "/readyz/"])
async def test_health_answers_head_and_no_other_methods(rest: Rest, path: str) -> None:
    head = await rest.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    answer = await rest.call("POST", path, {})
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, OPTIONS")


async def test_health_counts_as_requests_of_its_own_route(rest: Rest) -> None:
    await rest.call("GET", "/healthz")
    await rest.call("GET", "/healthz/")
    await rest.call("GET", "/what/somebody/typed")
    assert rest.metrics.requests == {("/healthz", "2xx"): 2, ("other", "4xx"): 1}


async def test_only_a_post_is_a_login(rest: Rest) -> None:
    await rest.call("GET", "/login")
    assert rest.metrics.logins.total() == 0
    for _ in range(2):
        await rest.call("POST", "/login", {"email": "ada@chat.test", "password": "not hers at all"})
    assert rest.metrics.logins["bad_credentials"] == rest.metrics.logins.total() == 2
