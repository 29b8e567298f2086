"""Connection capacity: how many connections the process's limit of open files allows."""

import resource
from typing import Final, NamedTuple

# Open files kept for other things than chat connections: REST requests, a polling client's second and third
# connection, the moment in which a handshake has two, and clients that are refused for lack of capacity.
RESERVED_PART: Final = 8
MIN_RESERVED_FILES: Final = 32


class Capacity(NamedTuple):
    """How many chat connections the process accepts."""

    connections: int
    is_bounded_by_files: bool  # and so is less than the setting asks for


def capacity(wished: int, open_files: int | None = None) -> Capacity:
    """`wished` connections, or as many as `open_files` allow, at least one.

    `open_files` is by default the hard limit (getrlimit(2)), to which the server raises the soft one at start.
    """
    if open_files is None:
        _, open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if open_files == resource.RLIM_INFINITY:
        return Capacity(wished, False)
    allowed = max(1, open_files - max(open_files // RESERVED_PART, MIN_RESERVED_FILES))
    return Capacity(min(wished, allowed), allowed < wished)
