"""Engine.IO packets, against the protocol document, row by row."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatio.realtime.engineio.packets import PacketType, ProtocolError, decode


@pytest.mark.parametrize(
    ("raw", "packet"),
    [
        ("0{}", (PacketType.OPEN, "{}")),
        ("1", (PacketType.CLOSE, "")),
        ("2probe", (PacketType.PING, "probe")),
        ("3", (PacketType.PONG, "")),
        ("4", (PacketType.MESSAGE, "")),
        ("4hello", (PacketType.MESSAGE, "hello")),
        ("5", (PacketType.UPGRADE, "")),
        ("6", (PacketType.NOOP, "")),
        ("bAQIDBA==", (PacketType.MESSAGE, b"\x01\x02\x03\x04")),
        (b"\x01\x02", (PacketType.MESSAGE, b"\x01\x02")),
        (b"", (PacketType.MESSAGE, b"")),
    ],
)
def test_packet_is_read(raw: str | bytes, packet: tuple[PacketType, str | bytes]) -> None:
    assert decode(raw) == packet


@pytest.mark.parametrize("raw", ["", "7", "abc", "-1", "²", "٤hello", "b***", "bAQ", "bA Q==", " 4"])
def test_packet_that_is_none_is_refused(raw: str) -> None:
    with pytest.raises(ProtocolError):
        decode(raw)


@given(st.binary(max_size=64))
def test_base64_packets_come_back_as_they_were(data: bytes) -> None:
    assert decode("b" + base64.b64encode(data).decode()) == (PacketType.MESSAGE, data)
