"""RFC 6455, section 5, as the server must read it."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatio.realtime.websocket import frames
from chatio.realtime.websocket.frames import (
    FrameError,
    FrameReader,
    close_code,
    close_frame,
    frame,
    message_frame,
)
from tests.client.protocol import NO_MASK
from tests.client.wire import client_frame

LIMIT = 70_000


def read(data: bytes, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    reader = FrameReader()
    messages = reader.feed(data, limit)
    if reader.error is not None:
        raise reader.error
    return messages


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_message_of_every_length_encoding_is_read(size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    assert read(client_frame(2, payload[:size])) == [(frames.BINARY, payload[:size])]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_server_frame_is_unmasked_and_as_short_as_can_be(size: int) -> None:
    data = frame(frames.TEXT, b"x" * size)
    head = {0: 2, 125: 2, 126: 4, 65_535: 4, 65_536: 10}[size]
    assert len(data) == head + size
    assert data[0] == 0x81
    assert not data[1] & 0x80


def test_text_and_bytes_have_frames_of_their_own() -> None:
    assert message_frame("é") == b"\x81\x02\xc3\xa9"
    assert message_frame(b"\x00") == b"\x82\x01\x00"
    assert close_frame(1001) == b"\x88\x02\x03\xe9"


def test_fragments_are_joined_and_control_frames_come_between_them() -> None:
    data = client_frame(1, b"he", fin=False) + client_frame(9, b"!") + client_frame(0, b"llo")
    assert read(data) == [(frames.PING, b"!"), (frames.TEXT, b"hello")]


@given(st.lists(st.integers(1, 7), max_size=30))
def test_bytes_may_come_in_any_pieces(cuts: list[int]) -> None:
    data = (
        client_frame(1, b"one")
        + client_frame(2, b"2" * 200)
        + client_frame(1, b"th", fin=False)
        + client_frame(0, b"ree")
    )
    reader, at = FrameReader(), 0
    got: list[tuple[int, bytes]] = []
    for cut in [*cuts, len(data)]:
        got += reader.feed(data[at : at + cut], LIMIT)
        at += cut
    assert got == [(1, b"one"), (2, b"2" * 200), (1, b"three")]
    assert reader.is_idle


def test_reader_is_idle_only_between_messages() -> None:
    reader: Any = FrameReader()
    assert reader.is_idle
    assert reader.feed(client_frame(1, b"a", fin=False), LIMIT) == []
    assert not reader.is_idle
    assert reader.feed(client_frame(0, b"b") + b"\x81", LIMIT) == [(1, b"ab")]
    assert not reader.is_idle


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(1, b"x", masked=False), 1002),
        (client_frame(1, b"x", reserved=4), 1002),  # RSV1 is what compression would set
        (client_frame(3, b"x"), 1002),
        (client_frame(11, b"x"), 1002),
        (client_frame(0, b"x"), 1002),  # a continuation of nothing
        (client_frame(1, b"x", fin=False) + client_frame(1, b"y"), 1002),
        (client_frame(9, b"x", fin=False), 1002),
        (client_frame(9, b"x" * 126), 1002),
        (b"\x81\xfe\x00\x05", 1002),  # five bytes, said in two
        (b"\x81\xff" + struct.pack(">Q", 5), 1002),
        (b"\x81\xff" + struct.pack(">Q", 1 << 63), 1002),
        (b"\x81\xff" + struct.pack(">Q", LIMIT + 1), 1009),  # by its header alone
        (client_frame(1, b"x" * 40_000, fin=False) + b"\x80\xfe" + struct.pack(">H", 40_000), 1009),
    ],
)
def test_frame_that_breaks_the_rfc_or_the_limit_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(FrameError) as refusal:
        read(data)
    assert refusal.value.code == code


def test_limit_holds_for_the_frame_that_is_exactly_so_large() -> None:
    assert len(read(client_frame(2, b"x" * 100), limit=100)[0][1]) == 100
    with pytest.raises(FrameError):
        read(client_frame(2, b"x" * 101), limit=100)


@pytest.mark.parametrize(("payload", "code"), [(b"", 1000), (b"\x03\xe8", 1000), (b"\x0f\xa0bye", 4000)])
def test_close_code_is_echoed(payload: bytes, code: int) -> None:
    assert close_code(payload) == code


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xed", b"\x00\x00", b"\x03\xe8\xff"])
def test_close_payload_that_may_not_be_sent_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError):
        close_code(payload)


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_unmasking_is_the_xor_of_the_rfc(payload: bytes, mask: bytes) -> None:
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    head = client_frame(2, payload, mask=NO_MASK).removesuffix(NO_MASK + payload)
    for cut in (0, 1):  # in one piece, and in two, which are put together
        reader = FrameReader()
        whole = head + mask + masked
        assert reader.feed(whole[:cut], LIMIT) + reader.feed(whole[cut:], LIMIT) == [(2, payload)]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_reader_answers_or_refuses_whatever_comes(chunks: list[bytes]) -> None:
    reader = FrameReader()
    for chunk in chunks:
        for opcode, payload in reader.feed(chunk, 100):
            assert opcode in {1, 2, 8, 9, 10}
            assert len(payload) <= 125
        if reader.error is not None:
            break
    assert reader.held_bytes <= 300


def test_messages_before_a_frame_that_breaks_the_rfc_are_read() -> None:
    reader = FrameReader()
    assert reader.feed(client_frame(1, b"one") + client_frame(3, b"x"), LIMIT) == [(1, b"one")]
    assert reader.error is not None
