"""Who may call: the marks, the token in the header, and each caller for themselves."""

from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from chatio.accounts.tokens import Claims, Tokens
from chatio.errors import MissingToken, TokenMalformed
from handlers.http.auth import authenticated, bearer_token, is_marked, public

TOKENS = Tokens("the key of these tests, 32 bytes or more", ttl_seconds=60)


class Handler:
    """As little of a handler as a guard needs."""

    tokens = TOKENS
    claims: Claims

    def __init__(self, authorization: str | None) -> None:
        headers = HTTPHeaders() if authorization is None else HTTPHeaders({"Authorization": authorization})
        self.request: Any = SimpleNamespace(headers=headers)
        self.called_with: list[object] = []
        self.counted: list[str | None] = []

    async def count_request(self, user: str | None = None) -> None:
        self.counted.append(user)

    @authenticated
    async def get(self, *arguments: object) -> None:
        """Says who called."""
        self.called_with.append((self.claims.subject, *arguments))

    @public
    async def post(self) -> None:
        self.called_with.append("anybody")

    async def put(self) -> None:
        self.called_with.append("nobody said who")


def token_of(subject: str) -> str:
    return TOKENS.issue(subject=subject, name="Ada", email="ada@chat.test")


def test_a_method_is_marked_by_either_decorator_and_not_by_none() -> None:
    assert [is_marked(Handler.get), is_marked(Handler.post), is_marked(Handler.put)] == [True, True, False]


def test_a_guarded_method_keeps_its_name_and_its_words() -> None:
    assert (Handler.get.__name__, Handler.get.__doc__) == ("get", "Says who called.")


async def test_a_guarded_method_is_called_with_the_claims_and_its_arguments() -> None:
    handler = Handler(f"Bearer {token_of('7')}")
    await handler.get("an argument")
    assert handler.called_with == [("7", "an argument")]
    assert handler.counted == ["7"]


async def test_a_guard_remembers_no_earlier_client() -> None:
    for subject in ("7", "8"):
        handler = Handler(f"Bearer {token_of(subject)}")
        await handler.get()
        assert handler.called_with == [(subject,)]
    unauthenticated = Handler(None)
    with pytest.raises(MissingToken):
        await unauthenticated.get()
    assert unauthenticated.called_with == []


async def test_a_guarded_method_is_not_called_with_a_bad_token() -> None:
    handler = Handler("Bearer nonsense")
    with pytest.raises(TokenMalformed):
        await handler.get()
    assert handler.called_with == []


async def test_a_public_method_is_called_without_a_token() -> None:
    handler = Handler(None)
    await handler.post()
    assert handler.called_with == ["anybody"]


@pytest.mark.parametrize(
    "header", ["Bearer abc", "bearer abc", "BEARER abc", "bEaReR abc", "Bearer   abc  ", "  Bearer abc"]
)
def test_the_scheme_is_taken_in_any_case(header: str) -> None:
    assert bearer_token(header) == "abc"


@pytest.mark.parametrize(
    "header",
    [None, "", " ", "Bearer", "Bearer ", "Bearer    ", "abc", "Basic abc", "Token abc", "Bearerabc", "JWT abc"],
)
def test_without_the_scheme_or_a_token_it_is_missing(header: str | None) -> None:
    with pytest.raises(MissingToken):
        bearer_token(header)
