"""Bodies of REST requests, as types: handlers read them, and the OpenAPI document is made from them.

`extra_json_schema` is for the document only and checks nothing: `UserRegistry` checks, and names every fault.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from chatio.accounts.names import MAX_NAME_CHARS
from chatio.accounts.passwords import PASSWORD_CHARS

_Name = Annotated[
    str,
    Meta(
        description="At least one visible character, no control or invisible characters. It is kept in the form "
        "NFKC. No two users have names that look alike; names such as System or Admin are reserved.",
        examples=["Ann"],
        extra_json_schema={"minLength": 1, "maxLength": MAX_NAME_CHARS},
    ),
]
_Email = Annotated[
    str,
    Meta(
        description="In any case.",
        examples=["ann@chat.example"],
        extra_json_schema={"minLength": 1, "format": "email"},
    ),
]
_NewPassword = Annotated[
    str,
    Meta(
        description="No common password, no one character again and again, not the user's own name or address.",
        examples=["violet kettle 42"],
        extra_json_schema={"minLength": PASSWORD_CHARS.start, "maxLength": PASSWORD_CHARS.stop - 1},
    ),
]
_KnownEmail = Annotated[str, Meta(examples=["ann@chat.example"], extra_json_schema={"minLength": 1})]
_KnownPassword = Annotated[str, Meta(examples=["correct horse"], extra_json_schema={"minLength": 1})]


class Registration(msgspec.Struct, frozen=True):
    """The body of POST /register."""

    name: _Name
    email: _Email
    password: _NewPassword


class Credentials(msgspec.Struct, frozen=True):
    """The body of POST /login."""

    email: _KnownEmail
    password: _KnownPassword


class PasswordChange(msgspec.Struct, frozen=True):
    """The body of POST /user/password."""

    old_password: Annotated[str, Meta(examples=["correct horse"])]
    new_password: _NewPassword


class Confirmation(msgspec.Struct, frozen=True):
    """The body of DELETE /user."""

    password: Annotated[str, Meta(examples=["correct horse"])]
