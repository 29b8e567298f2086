"""The operator's commands on users: `python main.py user ...`, and what each answers.

They run in the server, which a command reaches over its admin socket, or on the database itself.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from chatio.accounts import reset_codes
from chatio.accounts.login_throttle import LoginThrottle
from chatio.accounts.password_rules import PASSWORD_CHARS
from chatio.accounts.users import UserRegistry
from chatio.errors import FieldError, InvalidInput, UserNotFound, UserUnknown
from chatio.moderation.deletions import Deletions
from chatio.moderation.moderation import MAX_SECONDS, Moderation, until_text
from chatio.moderation.personal_data import account_of, personal_data
from chatio.stores.accounts import Role, User

LISTED_AT_ONCE: Final = 200

Name = Literal[
    "add",
    "list",
    "show",
    "promote",
    "mute",
    "unmute",
    "ban",
    "unban",
    "reset-password",
    "delete",
    "export",
]
# A row of the answer, or a piece of a document.
Row = dict[str, Any] | bytes


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command; `user` is an e-mail address or an id, and of the list a part of a name."""

    name: Name
    user: str = ""
    display_name: str = ""
    password: str = ""
    role: Role = "member"
    seconds: Annotated[int, Meta(ge=1, le=MAX_SECONDS)] | None = None  # past it, no time can be told
    reason: str = "on the server's machine"
    messages: Literal["keep", "delete"] = "keep"


@dataclass(frozen=True)
class Operator:
    """Runs commands. Event loop only."""

    users: UserRegistry
    moderation: Moderation
    deletions: Deletions
    logins: LoginThrottle

    async def run(self, command: Command) -> AsyncIterator[Row]:
        """The answer. Raises what `Moderation`'s acts raise, and `register`."""
        match command.name:
            case "list":
                async for row in self._list(command):
                    yield row
            case "add":
                yield await self._add(command)
            case "export":
                user = await self._found(command.user)
                async for piece in personal_data(user, self.logins, self.deletions.log, self.moderation.store):
                    yield piece
            case "show":
                yield account_of(await self._found(command.user))
            case "reset-password":
                yield await self._new_code(await self._found(command.user), command.reason)
            case _:
                yield account_of(await self._act(command, await self._found(command.user)))

    async def _act(self, command: Command, user: User) -> User:
        act, user_id = self.moderation, user.id
        match command.name:
            case "promote":
                return await act.set_role(None, user_id, command.role, command.reason)
            case "mute":
                if command.seconds is None:
                    raise InvalidInput(FieldError("seconds", "A mute has an end."))
                return await act.mute(None, user_id, command.seconds, command.reason)
            case "unmute":
                return await act.lift(None, user_id, "mute", command.reason)
            case "ban":
                return await act.ban(None, user_id, command.seconds, command.reason)
            case "unban":
                return await act.lift(None, user_id, "ban", command.reason)
            case _:
                await act.remove(user_id, command.reason)  # first: a user who is gone writes no more
                self.logins.forget(user.email_key)
                if command.messages == "delete":
                    await self.deletions.delete_all_of(user)
                return user

    async def _list(self, command: Command) -> AsyncIterator[Row]:
        after = ""
        while users := await self.users.find(command.user, after=after, limit=LISTED_AT_ONCE):
            for user in users:
                yield account_of(user)
            after = users[-1].name_key

    async def _add(self, command: Command) -> Row:
        """The new account; without a password, with a one-time code with which the user sets one."""
        password = command.password or reset_codes.new_code()[: PASSWORD_CHARS.stop - 1]
        user = await self.users.register(command.display_name, command.user, password)
        await self.moderation.take_over(user)
        await self.moderation.note(None, "add_user", (user.id, user.name), command.reason)
        if command.role != "member":
            user = await self.moderation.set_role(None, user.id, command.role, command.reason)
        return account_of(user) if command.password else await self._new_code(user, command.reason)

    async def _new_code(self, user: User, reason: str) -> Row:
        code = reset_codes.new_code()
        user = await self.moderation.set_reset_code(
            user.id, reset_codes.digest_of(code), reset_codes.SECONDS, reason
        )
        return account_of(user) | {"code": code, "code_until": until_text(user.reset_until)}

    async def _found(self, named: str) -> User:
        try:
            user = await self.users.get_by_email(named) if "@" in named else await self.users.get(named)
        except UserUnknown:
            user = None
        if user is None:
            raise UserNotFound
        return user
