"""The messages of the load tool, which differ in their number alone: built and recognised without parsing JSON."""

import json
import uuid

from tests.client.protocol import SOCKET_IO, http_request, plain_frame, token

MARK = b"seq="
TEXT_BYTES = 200
_SEQUENCE_DIGITS = 9
_FILLER = b"All work and no play makes Jack a dull boy. "


def polling_request(method: str, query: str, body: bytes = b"") -> bytes:
    """A polling request of Engine.IO 4; `query` follows `EIO=4&transport=polling`."""
    return http_request(method, f"{SOCKET_IO}polling{query}", body, Content_Type="text/plain;charset=UTF-8")


def user_token(key: str, number: int) -> str:
    """A JWT of user `number`."""
    return token(key, str(uuid.UUID(int=number)), name=f"User {number:05d}")


class MessageFrames:
    """Frames of `send-message` that differ in their number alone, which stands in `id` and in `content`."""

    def __init__(self) -> None:
        number = b"0" * _SEQUENCE_DIGITS
        text = MARK + number + b" " + _FILLER * (TEXT_BYTES // len(_FILLER) + 1)
        body = {
            "id": f"{uuid.uuid4()}-{number.decode()}",
            "content": text[:TEXT_BYTES].decode(),
            "author_id": "",
            "author_name": "",
            "timestamp": "10:32 AM",
            "status": "sent",
        }
        packet = b"42/chat," + json.dumps(["send-message", body], separators=(",", ":")).encode()
        self._start, self._middle, self._end = plain_frame(packet).split(number)

    def frame(self, sequence: int) -> bytes:
        """The frame of message `sequence`, 0 to 999,999,999."""
        number = b"%09d" % sequence
        return self._start + number + self._middle + number + self._end


def sequence_of(data: bytes | bytearray, start: int, end: int) -> int:
    """The number of the broadcast whose frame is `data[start:end]`; ValueError if it has none."""
    at = data.index(MARK, start, end) + len(MARK)
    return int(data[at : at + _SEQUENCE_DIGITS])
