"""Risks: settings that work, and that make the server easy to attack. Each is one warning, which quotes no key."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from chatio.config.settings import ANY_ORIGIN, Settings, listed
from chatio.throttling.client_ip import Network, parse_networks

# A key of 32 bytes with fewer distinct characters is guessed sooner than one of 12 random bytes.
MIN_DISTINCT_CHARS: Final = 8
# Of pairs of neighbours in a key: the share that is equal or follows in the alphabet, as in "aaaa" and "1234".
MAX_ORDERED_SHARE: Final = 0.6
# Shorter prefixes than those of the private networks: no proxies have a network of that size of their own.
MIN_PREFIX: Final = {4: 8, 6: 7}

# Of keys in examples, without their punctuation.
_PLACEHOLDERS: Final = re.compile(
    "change(me|this)|replace(me|this)|your(256bit|jwt|own|very|super|random|long)?(secret|key)"
    "|secretkey|mysecret|jwtsecret|(super|top)secret|secretatleast256|placeholder|example|insecure|notsecure"
    "|password|passphrase|letmein|qwerty|default(key|secret)|test(key|secret)|loremipsum"
)


def risks_of(settings: Settings) -> Iterator[str]:
    """A sentence for each risk that `settings` take."""
    keys = {
        "JWT_SECRET_KEY": settings.jwt_secret_key,
        "JWT_SECRET_KEY_PREVIOUS": settings.jwt_secret_key_previous,
    }
    for name, key in keys.items():
        if key and is_guessable(key):
            yield (
                f"{name} is easy to guess, and so are tokens of any user: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(48))' makes a good one"
            )
    if settings.origins == (ANY_ORIGIN,):
        yield "CLIENT_URL=* lets the page of every site use this server from its visitors' browsers"
    for proxy in listed(settings.trusted_proxies):
        if any(map(_is_too_wide, parse_networks([proxy]))):
            yield (
                f"TRUSTED_PROXIES={proxy} trusts strangers: "
                "each client can choose the address that its rate limits count"
            )


def is_guessable(key: str) -> bool:
    """Whether `key` is a repeated pattern, a row of the alphabet, of few characters, or a placeholder."""
    pairs = list(pairwise(key))
    ordered = sum(abs(ord(one) - ord(other)) <= 1 for one, other in pairs)
    return (
        any(key.startswith(key[size:]) for size in range(1, len(key) // 2 + 1))
        or len(set(key)) < MIN_DISTINCT_CHARS
        or ordered > len(pairs) * MAX_ORDERED_SHARE
        or _PLACEHOLDERS.search(re.sub(r"[\W_]", "", key.lower())) is not None
    )


def _is_too_wide(network: Network) -> bool:
    return network.prefixlen < MIN_PREFIX[network.version]
