"""The table of answers: it has a row for every error, and each row has its own code."""

from collections.abc import Iterator

import pytest

from chatio.errors import (
    ANSWERS,
    TOKEN_ERRORS,
    ChatioError,
    FieldError,
    InvalidInput,
    MessageEmpty,
    MessageRejected,
    MissingToken,
    Overloaded,
    Temporary,
    TokenError,
    Unforeseen,
    answer_to,
)
from tools.error_table import TARGET, table

# Never raised themselves: base classes only.
FAMILIES = {TokenError, MessageRejected, Temporary}


def descendants(kind: type[ChatioError]) -> Iterator[type[ChatioError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def of_the_product(kind: type[ChatioError]) -> bool:
    return kind.__module__.split(".")[0] in {"chatio", "handlers"}


ALL = [kind for kind in descendants(ChatioError) if of_the_product(kind)]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in FAMILIES])
def test_every_error_has_a_row_of_its_own(kind: type[ChatioError]) -> None:
    assert kind in ANSWERS


def test_the_table_has_no_row_for_another_class() -> None:
    assert set(ANSWERS) == set(ALL) - FAMILIES


def test_no_two_errors_share_a_code() -> None:
    codes = [answer.code for answer in ANSWERS.values()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_answer_has_an_error_status_a_message_and_a_code(kind: type[ChatioError]) -> None:
    answer = ANSWERS[kind]
    assert 400 <= answer.status < 600
    assert answer.message.strip()
    assert answer.code == answer.code.lower().replace(" ", "_")


def test_the_page_of_the_protocol_has_the_table() -> None:
    """When it fails: `.venv/bin/python -m tools.error_table` writes the table anew."""
    assert TARGET.read_text("utf-8").endswith(f"\n\n{table()}")


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ANSWERS[InvalidInput] = ANSWERS[MissingToken]  # type: ignore[index]


def test_answer_to_a_subclass_is_that_of_its_nearest_base_class() -> None:
    class MessageBlank(MessageEmpty):
        pass

    assert answer_to(MessageBlank()) == ANSWERS[MessageEmpty]


def test_answer_to_an_error_without_a_row_raises() -> None:
    class NotInTheTable(ChatioError):
        pass

    with pytest.raises(LookupError, match="NotInTheTable"):
        answer_to(NotInTheTable())


@pytest.mark.parametrize("kind", sorted({*TOKEN_ERRORS} - {MissingToken}, key=str))
def test_http_answers_to_bad_tokens_are_the_same(kind: type[TokenError]) -> None:
    assert (ANSWERS[kind].status, ANSWERS[kind].message) == (401, "Token invalid")


def test_an_error_carries_what_its_answer_needs() -> None:
    wrong = FieldError("name", "This is missing."), FieldError("email", "This must be text.")
    assert InvalidInput(*wrong).errors == wrong
    assert Overloaded(retry_after_seconds=3).retry_after_seconds == 3
    assert Unforeseen(reference="ab12").reference == "ab12"
