"""Bodies of REST requests, as types: handlers read them, and the OpenAPI document is made from them.

`extra_json_schema` is for the document only and checks nothing: `UserRegistry` checks, and names every fault.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chatio.accounts.names import MAX_NAME_CHARS
from chatio.accounts.password_rules import PASSWORD_CHARS
from chatio.moderation.moderation import MAX_REASON_CHARS, MAX_SECONDS, Sanction
from chatio.stores.accounts import Role
from chatio.stores.records import MessageId

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
_Messages = (
    Annotated[
        Literal["keep", "delete"],
        Meta(description="What becomes of the user's messages; `keep` without it. In the query or in the body."),
    ]
    | msgspec.UnsetType
)
_Reason = Annotated[
    str,
    Meta(
        description="Why, for the audit trail.",
        examples=["Spam."],
        extra_json_schema={"minLength": 1, "maxLength": MAX_REASON_CHARS},
    ),
]
_Seconds = Annotated[int, Meta(ge=1, le=MAX_SECONDS, examples=[600])]
_UserId = Annotated[str, Meta(examples=["0f5e2c7a-6d0b-4b57-9c36-8a1d2e4f7b90"])]


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
    messages: _Messages = msgspec.UNSET


class RemovalQuery(msgspec.Struct, frozen=True):
    """The arguments of DELETE /user."""

    messages: _Messages = msgspec.UNSET


class PasswordReset(msgspec.Struct, frozen=True):
    """The body of POST /user/reset; the operator makes the `code`."""

    email: _KnownEmail
    code: Annotated[str, Meta(examples=["K7QX-M2FD-9WTR"], extra_json_schema={"minLength": 1})]
    new_password: _NewPassword


class UserQuery(msgspec.Struct, frozen=True):
    """The arguments of GET /users."""

    query: str = ""
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class AuditQuery(msgspec.Struct, frozen=True):
    """The arguments of GET /audit."""

    before: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class Kick(msgspec.Struct, frozen=True):
    """The body of POST /moderation/kick."""

    user_id: _UserId
    reason: _Reason


class Mute(Kick, frozen=True):
    """The body of POST /moderation/mute."""

    seconds: _Seconds


class Ban(Kick, frozen=True):
    """The body of POST /moderation/ban; without `seconds` the ban has no end."""

    seconds: _Seconds | None = None


class Lift(Kick, frozen=True):
    """The body of POST /moderation/lift."""

    sanction: Sanction


class Deletion(msgspec.Struct, frozen=True):
    """The body of POST /moderation/delete."""

    message_id: MessageId
    reason: _Reason


class RoleChange(Kick, frozen=True):
    """The body of POST /moderation/role."""

    role: Role
