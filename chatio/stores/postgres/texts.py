"""Texts: PostgreSQL keeps every character but NUL."""


def storable(text: str) -> str:
    """`text` with U+FFFD for each NUL. Names and ids of other issuers' tokens may have one."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
