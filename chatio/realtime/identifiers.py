"""Session ids: as good as a password while the session lasts."""

import base64
import os

ID_BYTES = 15  # 120 bits; 20 characters of base64 without padding
_POOL_IDS = 256


class Identifiers:
    """Random ids from the kernel, fetched many at a time. Event loop only.

    A call for each, as the library makes it, takes 8 µs on a virtual machine, and a connect needs two ids.
    """

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def next(self) -> str:
        if self._at == len(self._pool):
            self._pool, self._at = os.urandom(ID_BYTES * _POOL_IDS), 0
        self._at += ID_BYTES
        return base64.urlsafe_b64encode(self._pool[self._at - ID_BYTES : self._at]).decode()
