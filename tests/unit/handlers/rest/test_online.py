"""GET /users/online over raw HTTP: all users, and page by page where they are too many."""

import uuid
from typing import Any

from chatio.chat.messages import Author
from handlers.rest.online import MAX_PAGE_BYTES
from tests.unit.handlers.rest_server import Rest


async def get(rest: Rest, query: str = "") -> tuple[Any, int]:
    token = rest.tokens.issue(subject="7", name="Ann", email="ann@chat.test")
    answer = await rest.call("GET", f"/users/online{query}", Authorization=f"Bearer {token}")
    assert answer.status == 200
    return answer.json, len(answer.body)


async def test_few_users_are_one_page_in_the_order_in_which_they_came(rest: Rest) -> None:
    for name in ("Bob", "Ann"):
        rest.presence.connected(Author(name, name))
    page, _ = await get(rest)
    users = [{"id": "Bob", "name": "Bob"}, {"id": "Ann", "name": "Ann"}]
    assert page == {"online": 2, "users": users, "after": None}


async def test_no_answer_is_larger_than_a_page_and_no_user_is_missing(rest: Rest) -> None:
    ids = [str(uuid.uuid4()) for _ in range(6000)]
    for id_ in ids:
        rest.presence.connected(Author(id_, "x" * 64))
    found: list[str] = []
    query = ""
    for _ in range(10):
        page, size = await get(rest, query)
        assert size < MAX_PAGE_BYTES * 1.05
        assert page["online"] == 6000
        found += [user["id"] for user in page["users"]]
        if page["after"] is None:
            break
        query = f"?after={page['after']}"
    assert found == sorted(ids)
