"""The messages of the load tool, which differ in their number alone: built and recognised without parsing JSON."""

import json
import uuid

from tests.client.protocol import SOCKET_IO, http_request, plain_frame, token

MARK = b"seq="
TEXT_BYTES = 200
_SEQUENCE_DIGITS = 9
ACK_START = b"42/chat,1"  # and nine digits: the id of an ack does not begin with 0
_FILLER = b"All work and no play makes Jack a dull boy. "


def polling_request(method: str, query: str, body: bytes = b"") -> bytes:
    """A polling request of Engine.IO 4; `query` follows `EIO=4&transport=polling`."""
    return http_request(method, f"{SOCKET_IO}polling{query}", body, Content_Type="text/plain;charset=UTF-8")


def user_token(key: str, number: int) -> str:
    """A JWT of user `number`."""
    return token(key, user_id(number), name=user_name(number))


def user_id(number: int) -> str:
    return str(uuid.UUID(int=number))


def user_name(number: int) -> str:
    return f"User {number:05d}"


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
        self._start, self._middle, self._end = plain_frame(b"42/chat," + _event(body)).split(number)
        short = body | {"id": number.decode()}  # in the ack too, which must be shorter than a broadcast
        self._acked = plain_frame(ACK_START + number + _event(short)).split(number)

    def frame(self, sequence: int) -> bytes:
        """The frame of message `sequence`, 0 to 999,999,999."""
        number = b"%09d" % sequence
        return self._start + number + self._middle + number + self._end

    def acked_frame(self, sequence: int) -> bytes:
        """The frame of message `sequence` that asks for an ack."""
        return (b"%09d" % sequence).join(self._acked)


def _event(body: dict[str, str]) -> bytes:
    return json.dumps(["send-message", body], separators=(",", ":")).encode()


def acked_sequence(frame: bytes) -> int | None:
    """The number of the message that the ack in `frame`, of less than 126 bytes, accepts; None if it is no ack.

    ValueError for an ack that refuses.
    """
    if not frame.startswith(b"43/chat,1", 2):
        return None
    number, _, answer = frame[11:].partition(b"[")
    if b'"ok":true' not in answer:
        raise ValueError(f"a message was refused: {answer!r}")
    return int(number)


def sequence_of(data: bytes | bytearray, start: int, end: int) -> int:
    """The number of the broadcast whose frame is `data[start:end]`. ValueError for another frame, as a refusal."""
    at = data.find(MARK, start, end) + len(MARK)
    if at < len(MARK):
        raise ValueError(f"no broadcast: {bytes(data[start:end])[:300]!r}")
    return int(data[at : at + _SEQUENCE_DIGITS])
