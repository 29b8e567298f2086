"""GET /messages over raw HTTP: page by page, from the newest back."""

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from chatio.log.message_log import MessageLog
from chatio.stores.records import Message
from handlers.rest.messages import MAX_PAGE_BYTES
from tests.unit.handlers.rest_server import Rest


def fill(rest: Rest, count: int) -> None:
    for number in range(1, count + 1):
        rest.log.append(Message(f"id {number}", f"text {number}", "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))


async def get(rest: Rest, query: str = "", *, status: int = 200) -> Any:
    token = rest.tokens.issue(subject="7", name="Ann", email="ann@chat.test")
    answer = await rest.call("GET", f"/messages{query}", Authorization=f"Bearer {token}")
    assert answer.status == status
    return answer.json


async def test_pages_go_back_to_the_beginning_without_a_gap(rest: Rest) -> None:
    rest.start()
    fill(rest, 25)
    pages, query = [], "?limit=10"
    while True:
        page = await get(rest, query)
        pages.append([message["content"] for message in page["messages"]])
        if page["before"] is None:
            break
        query = f"?limit=10&before={page['before']}"
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [text for page in reversed(pages) for text in page] == [f"text {number}" for number in range(1, 26)]


async def test_a_message_is_as_it_was_received_with_its_offset(rest: Rest) -> None:
    rest.start()
    fill(rest, 1)
    page = await get(rest)
    assert page == {
        "messages": [
            {
                "id": "id 1",
                "content": "text 1",
                "author_id": "7",
                "author_name": "Ann",
                "timestamp": "10:00",
                "sent_at": "2026-01-01T00:00:00.000Z",
                "status": "sent",
                "offset": rest.log.offset_of(1),
            }
        ],
        "before": None,
    }


async def test_an_empty_log_is_an_empty_page(rest: Rest) -> None:
    rest.start()
    assert await get(rest) == {"messages": [], "before": None}


async def test_what_was_forgotten_is_where_pages_end(rest: Rest) -> None:
    rest.log = MessageLog(max_messages=5)
    rest.start()
    fill(rest, 20)
    page = await get(rest, "?limit=3")
    assert [message["content"] for message in page["messages"]] == ["text 18", "text 19", "text 20"]
    page = await get(rest, f"?limit=3&before={page['before']}")
    assert [message["content"] for message in page["messages"]] == ["text 16", "text 17"]
    assert page["before"] is None
    assert await get(rest, f"?before={rest.log.offset_of(3)}") == {"messages": [], "before": None}


@pytest.mark.parametrize("content", ["x" * 10_000, "\x01" * 10_000, "ä" * 100_000, "x" * 300_000])
async def test_a_page_has_as_many_messages_as_fit_into_256_kib_and_at_least_one(rest: Rest, content: str) -> None:
    rest.log = MessageLog(max_bytes=2**30)
    rest.start()
    for number in range(60):
        rest.log.append(Message(f"{number}", content, "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
    ids: list[str] = []
    query = "?limit=100"
    while query:
        page = await get(rest, query)
        size = len(msgspec.json.encode(page["messages"]))
        assert len(page["messages"]) == 1 or size <= MAX_PAGE_BYTES
        assert page["before"] is None or size + len(msgspec.json.encode(content)) > MAX_PAGE_BYTES
        ids = [message["id"] for message in page["messages"]] + ids
        query = f"?limit=100&before={page['before']}" if page["before"] else ""
    assert ids == [f"{number}" for number in range(60)]


@pytest.mark.parametrize("before", ["", "abc", "0" * 25, "x" * 5000, "%00", "later"])
async def test_a_bad_offset_is_told(rest: Rest, before: str) -> None:
    rest.start()
    fill(rest, 3)
    value = rest.log.offset_of(4) if before == "later" else before
    answer = await get(rest, f"?before={value}", status=400)
    assert [error["field"] for error in answer["errors"]] == ["before"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "", "1e1", "٣", "9" * 5000])
async def test_a_bad_limit_is_told(rest: Rest, limit: str) -> None:
    rest.start()
    answer = await get(rest, f"?limit={quote(limit)}", status=400)
    assert [error["field"] for error in answer["errors"]] == ["limit"]


async def test_messages_without_a_token_answer_401(rest: Rest) -> None:
    rest.start()
    assert (await rest.call("GET", "/messages")).status == 401
