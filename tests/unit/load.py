"""A measured load, set by hand."""

from dataclasses import dataclass


@dataclass
class Load:
    retry_after_seconds: int
