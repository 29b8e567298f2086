"""For what clients are refused or closed, in the few words by which they are counted.

The log says each in a sentence of its own. Most of those are rules of the protocol, and who looks at a graph wants
to know only that it was one of them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PROTOCOL: Final = "protocol"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Shutting down": "leaving",
        "Overloaded": "overloaded",
        "Too many connections": "full",
        "Too many connections from one address": "address_full",
        "Too many TCP connections from one address": "address_full",
        "Too many handshakes from one address": "address_rate",
        "Too many connections of one person": "person_full",
        "Came in too often": "person_rate",
        "Went on sending too much": "flood",
        "Forbidden": "origin",
        "Session ID unknown": "unknown_session",
        "No CONNECT": "silent",
        "Output not taken": "slow",
    }
)
NAMES: Final = (*dict.fromkeys(REASONS.values()), PROTOCOL)

_BY_RULE: Final = {rule.casefold(): name for rule, name in REASONS.items()}


def reason_of(rule: str) -> str:
    """The one of `NAMES` that `rule`, as the log says it, is counted as."""
    return _BY_RULE.get(rule.casefold(), PROTOCOL)
