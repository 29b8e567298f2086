"""Anything that a client sends as a message becomes a valid message, or is rejected."""

from hypothesis import given
from hypothesis import strategies as st

from chatio.chat.messages import MAX_ID_CHARS, MAX_TIMESTAMP_CHARS, Author, content_of, fit_id, stamp
from chatio.errors import MessageRejected
from chatio.log.message_log import MessageLog
from chatio.text import VISIBLE
from tests.property.inputs import any_json, any_text, awkward_text, bounded

ADA = Author("7", "Ada")
MAX_CHARS = 50
FIELDS = ("id", "content", "author_id", "author_name", "timestamp", "sent_at", "status")

texts = any_text | awkward_text
near_messages = st.fixed_dictionaries(
    {"content": texts | any_json},
    optional={name: texts | any_json for name in FIELDS if name != "content"} | {"html": any_json},
)


@bounded
@given(any_json | near_messages | st.binary())
def test_any_draft_is_rejected_or_becomes_a_message_of_texts(raw: object) -> None:
    try:
        message = stamp(raw, ADA, max_chars=MAX_CHARS)
    except MessageRejected:
        return
    assert isinstance(raw, dict)
    assert {type(getattr(message, name)) for name in FIELDS} == {str}
    assert message.content == content_of(raw)
    assert 0 < len(message.content) <= MAX_CHARS
    assert (message.author_id, message.author_name, message.status) == ("7", "Ada", "sent")
    assert 0 < len(message.id) <= MAX_ID_CHARS
    assert message.id.encode()
    assert len(message.timestamp) <= MAX_TIMESTAMP_CHARS


@bounded
@given(texts.filter(lambda text: VISIBLE.search(text) is not None and len(text) <= MAX_CHARS), near_messages)
def test_text_within_the_limit_is_never_rejected(content: str, others: dict[str, object]) -> None:
    assert stamp(others | {"content": content}, ADA, max_chars=MAX_CHARS).content == content_of(
        {"content": content}
    )


@bounded
@given(any_json | near_messages)
def test_an_id_fits_or_is_none(raw: object) -> None:
    fit = fit_id(raw)
    assert fit is None or (isinstance(raw, dict) and fit == raw["id"] and 1 <= len(fit) <= MAX_ID_CHARS)


@bounded
@given(st.lists(near_messages, max_size=8))
def test_the_log_accepts_any_message(raws: list[dict[str, object]]) -> None:
    log = MessageLog(max_messages=3)
    for raw in raws:
        try:
            message = stamp(raw, ADA, max_chars=MAX_CHARS)
        except MessageRejected:
            continue
        assert log.append(message) in log.read(0)
