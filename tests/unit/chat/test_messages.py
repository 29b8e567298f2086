"""Messages: which fields of a draft are kept, replaced or ignored, and which drafts are rejected."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from chatio.chat.messages import Author, content_of, fit_id, kept_id, new_id, stamp
from chatio.errors import MessageEmpty, MessageInvalid, MessageTooLong
from chatio.stores.records import Message

ADA = Author("7", "Ada")
NOON = datetime(2031, 5, 9, 12, 4, 5, 678_901, tzinfo=UTC)
FROM_THE_PAGE = {
    "id": "0b7c5c5e-6f0a-4b59-9d4e-5b3b1a0d1f11",
    "content": "hello",
    "author_id": "7",
    "author_name": "Ada",
    "timestamp": "10:32 AM",
    "status": "sent",
}


def stamped(**changes: Any) -> Message:
    return stamp(FROM_THE_PAGE | changes, ADA, max_chars=10_000, now=NOON)


def test_a_message_of_the_page_comes_out_as_the_contract_says() -> None:
    assert msgspec.to_builtins(stamped()) == FROM_THE_PAGE | {"sent_at": "2031-05-09T12:04:05.678Z"}


def test_the_author_is_the_tokens_and_never_the_clients_claim() -> None:
    message = stamped(author_id="1", author_name="Eve", status="received", sent_at="yesterday")
    assert (message.author_id, message.author_name) == ("7", "Ada")
    assert (message.status, message.sent_at) == ("sent", "2031-05-09T12:04:05.678Z")


def test_other_fields_are_not_passed_on() -> None:
    sent = msgspec.to_builtins(stamped(html="<b>", room="admin", type="system"))
    assert set(sent) == {"id", "content", "author_id", "author_name", "timestamp", "sent_at", "status"}


@pytest.mark.parametrize(
    "content",
    ["<b>&amp;</b>", " leading and trailing ", "two\nlines", "\x01x", "\U0001f600", "\u202ex", "x" * 10_000],
)
def test_content_is_unchanged(content: str) -> None:
    assert stamped(content=content).content == content


@pytest.mark.parametrize("half", ["\ud83d", "\ude00"])  # noqa: PT014 - they differ
def test_half_a_surrogate_pair_is_replaced(half: str) -> None:
    message = stamped(content=f"a{half}b\U0001f600", timestamp=f"10{half}32")
    assert (message.content, message.timestamp) == ("a\ufffdb\U0001f600", "10\ufffd32")


@pytest.mark.parametrize("raw", [None, True, 7, 7.5, "text", b"bytes", [], [FROM_THE_PAGE], {}, {"id": "1"}])
def test_a_draft_that_is_no_object_with_content_is_invalid(raw: object) -> None:
    with pytest.raises(MessageInvalid):
        stamp(raw, ADA, max_chars=10_000)


@pytest.mark.parametrize("content", [None, False, 7, 7.5, b"bytes", ["text"], {"text": "text"}])
def test_content_that_is_no_text_is_invalid(content: object) -> None:
    with pytest.raises(MessageInvalid):
        stamped(content=content)


@pytest.mark.parametrize(
    "content",
    [
        *("", " ", "\n\t\r", "\u00a0\u2003\u3000", "\x00", "\x00\x07\x1b", "\x85", "\u2028"),
        *("\u200b", "\ufeff", "\u2060\u2064", "\u3164", "\u115f\u1160\uffa0", "\u2800", "\u202e", "\ufe0f"),
        *("\u00ad", "\U000e0041", "\U000e0100", "\U0001d159", " \u200b\n\u3164\x00"),
    ],
)
def test_content_without_a_visible_character_is_empty(content: str) -> None:
    with pytest.raises(MessageEmpty):
        stamped(content=content)


def test_content_is_too_long_from_one_character_past_the_limit() -> None:
    assert stamp({"content": "\U0001f600" * 5}, ADA, max_chars=5).content == "\U0001f600" * 5
    with pytest.raises(MessageTooLong):
        stamp({"content": "x" * 6}, ADA, max_chars=5)


@pytest.mark.parametrize(
    "timestamp",
    [
        *("10:32 AM", "10:32\u202fAM", "10:32\u00a0AM", "x" * 64, "<b>", "오전 10:32", "上午10:32"),
        *("\u200f10:32 \u0635", "\u200e10\u200e:\u200e32", "klo 10.32", "\U0001f552"),
    ],
)
def test_a_timestamp_that_is_text_is_kept(timestamp: str) -> None:
    assert stamped(timestamp=timestamp).timestamp == timestamp


@pytest.mark.parametrize(
    "timestamp",
    [
        *(None, 7, ["10:32"], {"at": 1}, True, "x" * 65, "", " ", "\u200b", "\u200e"),
        *("10:32\n", "10\x00:32", "10:32\x1b[31m", "\x7f", "10:32\x85", "10:32\u2028"),
        *(
            "10:32\u202e",
            "\u202a10:32",
            "\u206610:32\u2069",
            "10\u200b:32",
            "10:32\ufeff",
            "10:32\u3164",
            "\uffff",
        ),
    ],
)
def test_another_timestamp_becomes_the_time_in_utc(timestamp: object) -> None:
    assert stamped(timestamp=timestamp).timestamp == "12:04"


def test_a_missing_timestamp_becomes_the_time_in_utc() -> None:
    assert stamp({"content": "hello"}, ADA, max_chars=10, now=NOON).timestamp == "12:04"


def test_the_time_is_now_unless_told_otherwise() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    sent_at = stamp({"content": "hello"}, ADA, max_chars=10).sent_at
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", sent_at)
    assert before <= datetime.fromisoformat(sent_at) <= datetime.now(UTC)


def test_midnight_has_milliseconds_too() -> None:
    midnight = datetime(2031, 1, 1, tzinfo=UTC)
    message = stamp({"content": "hello"}, ADA, max_chars=10, now=midnight)
    assert (message.sent_at, message.timestamp) == ("2031-01-01T00:00:00.000Z", "00:00")


@pytest.mark.parametrize("candidate", ["x", "x" * 64, " ", "Ü", "\U0001f600" * 64])
def test_an_id_that_fits_is_kept(candidate: str) -> None:
    assert fit_id({"id": candidate}) == candidate
    assert stamped(id=candidate).id == candidate


@pytest.mark.parametrize(
    "candidate",
    [
        *("", "x" * 65, "a\x00b", "a\nb", "\x7f", "\x85", "\ud83d", "a\u200bb", "a\u202eb"),
        None,
        7,
        0,
        True,
        ["x"],
        {"id": "x"},
    ],
)
def test_an_id_that_does_not_fit_is_replaced(candidate: object) -> None:
    assert fit_id({"id": candidate}) is None
    assert stamped(id=candidate).id not in (candidate, "", "None")


@pytest.mark.parametrize("raw", [None, "id", ["id"], 7, {}])
def test_a_draft_without_an_id_has_none(raw: object) -> None:
    assert fit_id(raw) is None


ODD_IDS = (
    7,
    0,
    -1,
    1.5,
    10**30,
    True,
    False,
    ["x"],
    {"$oid": "x"},
    "x" * 65,
    "x" * 100_000,
    "\ud83d",
    "a\nb",
    b"x",
)


@pytest.mark.parametrize("sent", ODD_IDS)
def test_a_message_that_is_sent_again_under_an_odd_id_has_the_same_id_of_ours(sent: object) -> None:
    first, again = stamped(id=sent).id, stamped(id=sent).id
    assert first == again == kept_id({"id": sent}, "7")
    assert len(first) <= 64
    assert first.isascii()


def test_odd_ids_that_differ_have_different_ids_of_ours_for_each_author() -> None:
    kept = [kept_id({"id": sent}, author) for sent in (*ODD_IDS, "7") for author in ("7", "8")]
    assert len(set(kept)) == len(kept) - 1  # the text "7" is fit, and kept for both


@pytest.mark.parametrize("raw", [None, "id", ["id"], 7, {}, {"id": None}, {"id": ""}])
def test_a_draft_without_an_id_has_another_id_of_ours_each_time(raw: object) -> None:
    assert kept_id(raw, "7") is None
    if isinstance(raw, dict):
        assert stamped(**{"id": None} | raw).id != stamped(**{"id": None} | raw).id


@pytest.mark.parametrize(
    ("content", "expected"),
    [("cut \ud83d", "cut \ufffd"), ("\ude00\ud83d", "\ufffd\ufffd"), ("a\x00b", "a\ufffdb"), ("\ud83d", "\ufffd")],
)
def test_what_cannot_be_encoded_or_kept_is_replaced(content: str, expected: str) -> None:
    message = stamped(content=content)
    assert message.content == content_of({"content": content}) == expected
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


def test_new_ids_differ() -> None:
    assert len({new_id() for _ in range(100)}) == 100


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        stamped().content = "something else"  # type: ignore[misc]
