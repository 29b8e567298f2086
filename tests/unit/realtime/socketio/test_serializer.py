import json
import math
from typing import Any

import pytest
import socketio.packet

from chatio.realtime.socketio import serializer
from chatio.realtime.socketio.packets import ProtocolError


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"deep": [math.nan]}])
def test_what_is_no_json_is_never_written(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        serializer.dumps(value)


def test_text_is_written_short_and_in_ascii() -> None:
    assert serializer.dumps({"a": ["é", "\ud83d"]}) == '{"a":["\\u00e9","\\ud83d"]}'


def test_packet_class_of_one_server_leaves_the_librarys_alone() -> None:
    before = socketio.packet.Packet.json
    mine = serializer.packet_class("default", None)
    assert mine.json is not before
    assert socketio.packet.Packet.json is before


def test_applications_own_json_is_used_and_held_to_the_rules() -> None:
    packets: Any = serializer.packet_class("default", json)
    assert packets(data=["x", "NaN"]).encode() == '2["x","NaN"]'
    with pytest.raises(ValueError, match="NaN"):
        packets(data=["x", math.nan]).encode()
    with pytest.raises(ProtocolError):
        serializer.decode('2["x",NaN]', packets)
    assert serializer.decode('2["x",1.5]', packets).data == ["x", 1.5]


def test_serializer_of_another_format_is_checked_all_the_same() -> None:
    class Pairs(socketio.packet.Packet):
        """Type, namespace and data, by repr."""

        uses_binary_events = False

        def decode(self, encoded_packet: Any) -> None:
            self.packet_type, self.namespace, self.data = json.loads(encoded_packet)

    packets = serializer.packet_class(Pairs, None)
    assert serializer.decode(b'[2,"/chat",["x"]]', packets).data == ["x"]
    for broken in (b"", b"{", b'[9,"/",[]]', b'[2,"/",["disconnect"]]', b'[2,7,["x"]]', b'[0,"/",[]]'):
        with pytest.raises(ProtocolError):
            serializer.decode(broken, packets)
