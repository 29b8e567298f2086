"""Connection capacity: how many connections the process's limit of open files allows."""

import resource
from typing import Final, NamedTuple

# Open files kept for other things than chat connections: REST requests, a polling client's second and third
# connection, the moment in which a handshake has two, and clients that are refused for lack of capacity.
RESERVED_PART: Final = 8
MIN_RESERVED_FILES: Final = 32
# Open files kept for what is no connection: listeners, the event loop, the log, the metrics, a socket that a
# handshake has twice.
SPARE_FILES: Final = 24

UNLIMITED: Final = 2**31  # more than any kernel gives


class Capacity(NamedTuple):
    """How many chat connections the process accepts."""

    connections: int
    is_bounded_by_files: bool  # and so is less than the setting asks for


def capacity(wished: int, open_files: int | None = None) -> Capacity:
    """`wished` connections, or as many as `open_files` allow, at least one.

    `open_files` is by default that of `most_open_files`.
    """
    if open_files is None:
        open_files = most_open_files()
    allowed = max(1, open_files - max(open_files // RESERVED_PART, MIN_RESERVED_FILES))
    return Capacity(min(wished, allowed), allowed < wished)


def most_open_files() -> int:
    """The hard limit (getrlimit(2)), to which the server raises the soft one at start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if hard == resource.RLIM_INFINITY else hard
