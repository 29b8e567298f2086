"""Socket.IO packets, against the protocol document, row by row."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatio.realtime.engineio.packets import PacketType as EnginePacketType
from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.engineio.packets import decode as decode_engine
from chatio.realtime.limits import MAX_ATTACHMENTS, MAX_JSON_VALUES, MAX_NAMESPACE_CHARS
from chatio.realtime.socketio.packets import RESERVED_EVENTS, Packet, PacketType, decode, encode, fill_placeholders


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", Packet(PacketType.CONNECT, "/", None, None, 0)),
        ('0{"token":"x"}', Packet(PacketType.CONNECT, "/", None, {"token": "x"}, 0)),
        ("0/chat,", Packet(PacketType.CONNECT, "/chat", None, None, 0)),
        ("0/chat", Packet(PacketType.CONNECT, "/chat", None, None, 0)),
        ("0/chat?a=b,{}", Packet(PacketType.CONNECT, "/chat", None, {}, 0)),
        ("1/chat,", Packet(PacketType.DISCONNECT, "/chat", None, None, 0)),
        ('2["hi",1]', Packet(PacketType.EVENT, "/", None, ["hi", 1], 0)),
        ('2[7,"x"]', Packet(PacketType.EVENT, "/", None, [7, "x"], 0)),
        ('212["hi"]', Packet(PacketType.EVENT, "/", 12, ["hi"], 0)),
        ('2/chat,0["hi"]', Packet(PacketType.EVENT, "/chat", 0, ["hi"], 0)),
        ("3/chat,12[]", Packet(PacketType.ACK, "/chat", 12, [], 0)),
        ('51-["hi",{"_placeholder":true,"num":0}]', None),
        ('61-/chat,9[{"_placeholder":true,"num":0}]', None),
    ],
)
def test_socket_packet_is_read(text: str, packet: Packet | None) -> None:
    read = decode(text)
    if packet is None:
        assert read.attachments == 1
    else:
        assert read == packet


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "abc",
        "²",
        "0[]",  # CONNECT with auth that is no object
        '0"x"',
        "0true",
        "0null",
        "1{}",  # DISCONNECT carries nothing
        *("2", "2{}", "2[]", "2[null]", "2[true]", "2[[]]", "2[{}]", 'abc["x"]', '2abc["x"]', "2[", "2[1"),
        "3[]",  # an ack of nothing
        "31",
        "31{}",
        '4{"message":"x"}',  # only servers say CONNECT_ERROR
        *('2["x",NaN]', '2["x",Infinity]', '2["x",-Infinity]', '2["x",1e999]', "5", "5-", '5["x"]', '5a-["x"]'),
        '5-1-["x"]',
        f'5{MAX_ATTACHMENTS + 1}-["x"]',
        '5999999999-["x"]',
        '5²-["x"]',
        '2٣["x"]',
        "0/" + "n" * MAX_NAMESPACE_CHARS,
        *('2123456789012345678["x"]', '2["x",' + "9" * 5000 + "]", '2["x",' + "[" * 40 + "]" * 40 + "]"),
        *('2["x",' + '{"a":' * 40 + "1" + "}" * 40 + "]", "2" + "[" * 20_000, '2["x"]trailing'),
        *(f'2["{name}",1]' for name in sorted(RESERVED_EVENTS)),
        '51-["disconnect",{"_placeholder":true,"num":0}]',
    ],
)
def test_socket_packet_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode(text)


def test_depth_of_thirty_two_passes_and_one_more_does_not() -> None:
    inside = "[" * 31 + "]" * 31
    assert decode(f'2["x",{inside}]').kind is PacketType.EVENT
    with pytest.raises(ProtocolError):
        decode(f'2["x",[{inside}]]')


def test_many_shallow_brackets_pass() -> None:
    assert len(decode('2["x"' + ",[]" * 4000 + "]").data) == 4001


@pytest.mark.parametrize("value", ["[]", "{}", "1", "1.5", '""', "null", '{"a":1}', r'"\\"', r'"\","'])
def test_more_values_than_a_message_has_are_refused(value: str) -> None:
    with pytest.raises(ProtocolError, match="JSON"):
        decode('2["x"' + f",{value}" * MAX_JSON_VALUES + "]")


@pytest.mark.parametrize("content", ["[", ",", "{", '",', "\\[", '\\",[', "\\", "\\\\,"])
def test_what_stands_within_a_text_is_no_value(content: str) -> None:
    text = content * 2 * MAX_JSON_VALUES
    assert decode(f"2{json.dumps(['x', text, {text: text}])}").data == ["x", text, {text: text}]


def test_half_of_a_surrogate_pair_becomes_the_replacement_character() -> None:
    """Node passes it on; a strict parser of another client dies on it."""
    assert decode('2["x\\ud83d","\\ud83d",{"\\uDE00":1}]').data == ["x\ufffd", "\ufffd", {"\ufffd": 1}]


def test_placeholders_become_attachments() -> None:
    packet = decode('52-["x",{"_placeholder":true,"num":1},{"deep":[{"_placeholder":true,"num":0}]}]')
    assert fill_placeholders(packet, [b"a", b"b"]).data == ["x", b"b", {"deep": [b"a"]}]


@pytest.mark.parametrize("num", ["2", "-1", "0.0", '"0"', "null", "true", "[]"])
def test_placeholder_that_names_no_attachment_is_refused(num: str) -> None:
    packet = decode('52-["x",{"_placeholder":true,"num":' + num + "}]")
    with pytest.raises(ProtocolError):
        fill_placeholders(packet, [b"a", b"b"])


def test_attachment_named_twice_is_refused() -> None:
    packet = decode('51-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]')
    with pytest.raises(ProtocolError):
        fill_placeholders(packet, [b"a"])


def test_object_that_only_looks_like_a_placeholder_stays() -> None:
    packet = decode('51-["x",{"_placeholder":"true","num":0},{"_placeholder":true,"num":0}]')
    assert fill_placeholders(packet, [b"a"]).data == ["x", {"_placeholder": "true", "num": 0}, b"a"]


def answers_or_refuses(text: str) -> Any:
    """The decoders' whole promise: a value or a ProtocolError."""
    try:
        kind, data = decode_engine(text)
        if kind is EnginePacketType.MESSAGE and isinstance(data, str):
            return fill_placeholders(decode(data), [b"0", b"1"])
    except ProtocolError:
        return None
    return kind


NEARLY_PACKETS = st.builds(
    "".join,
    st.lists(
        st.one_of(
            st.sampled_from(
                ["4", "2", "5", "0", "3", "6", "1-", "2-", "/chat,", "/", ",", "[", "]", "{", "}", "12"]
            ),
            st.sampled_from(
                ['"x"', '{"_placeholder":true,"num":0}', "NaN", "1e999", "null", "b", "\x1e", ":", ","]
            ),
            st.text(max_size=5),
        ),
        max_size=12,
    ),
)


@given(NEARLY_PACKETS)
def test_decoders_answer_or_refuse_whatever_comes(text: str) -> None:
    answers_or_refuses(text)
    answers_or_refuses("4" + text)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((PacketType.CONNECT, "/chat", {"sid": "x"}), ['40/chat,{"sid":"x"}']),
        ((PacketType.DISCONNECT, "/chat"), ["41/chat,"]),
        ((PacketType.EVENT, "/", ["hi", 1]), ['42["hi",1]']),
        ((PacketType.EVENT, "/chat", ["é\ud83d"], 12), ['42/chat,12["\\u00e9\\ufffd"]']),
        ((PacketType.ACK, "/", [], 0), ["430[]"]),
        (
            (PacketType.EVENT, "/", ["x", b"a", {"deep": bytearray(b"b")}]),
            ['452-["x",{"_placeholder":true,"num":0},{"deep":{"_placeholder":true,"num":1}}]', b"a", b"b"],
        ),
        ((PacketType.ACK, "/chat", [b"a"], 7), ['461-/chat,7[{"_placeholder":true,"num":0}]', b"a"]),
    ],
)
def test_packet_is_encoded_for_both_transports(arguments: Any, parts: list[str | bytes]) -> None:
    packets = encode(*arguments)
    assert [packet.encoded for packet in packets] == parts
    assert [packet.frame[2:] for packet in packets] == [
        part if isinstance(part, bytes) else part.encode() for part in parts
    ]


@pytest.mark.parametrize(
    ("value", "error"), [(float("nan"), ValueError), (object(), TypeError), ({1, 2}, TypeError)]
)
def test_value_without_json_is_not_encoded(value: object, error: type[Exception]) -> None:
    for data in (["x", value], ["x", b"a", value]):
        with pytest.raises(error):
            encode(PacketType.EVENT, "/", data)


def test_placeholder_in_an_event_without_attachments_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode('50-["x",{"_placeholder":true,"num":0}]')
