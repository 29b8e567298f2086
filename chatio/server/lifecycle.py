"""Lifecycle of the server process, known to every part that admits clients."""

from enum import Enum


class Phase(Enum):
    SERVING = "serving"
    DRAINING = "draining"  # new requests and handshakes are refused with 503; open connections are let go
    HANDING_OVER = "handing over"  # another process has the port too: nothing is refused, each answer is the last


class Lifecycle:
    """The one phase that REST, the chat and the seam share. Event loop only; a phase never goes back."""

    def __init__(self) -> None:
        self.phase = Phase.SERVING

    def drain(self) -> None:
        """Refuse new requests and handshakes from now on."""
        self.phase = Phase.DRAINING

    def hand_over(self) -> None:
        """Serve on, for as long as clients need to reach the next process."""
        self.phase = Phase.HANDING_OVER
