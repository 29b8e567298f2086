"""How many connections this process may hold: each is an open file, and the system bounds those."""

import resource
from typing import Final, NamedTuple

# Of the files, kept for what is no chat connection: REST requests, a polling client's second and third connection,
# the moment in which a handshake has two, and those who are to be told that there is no room.
RESERVED_PART: Final = 8
MIN_RESERVED_FILES: Final = 32


class Capacity(NamedTuple):
    connections: int
    is_bounded_by_files: bool  # and so is less than what was wished for


def capacity(wished: int, open_files: int | None = None) -> Capacity:
    """`wished` connections, or as many as `open_files` leave room for, at least one.

    `open_files` is by default the hard limit (getrlimit(2)), to which serving raises the soft one.
    """
    if open_files is None:
        _, open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if open_files == resource.RLIM_INFINITY:
        return Capacity(wished, False)
    room = max(1, open_files - max(open_files // RESERVED_PART, MIN_RESERVED_FILES))
    return Capacity(min(wished, room), room < wished)
