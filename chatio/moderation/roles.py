"""Roles: which of them may do what, and to whom. A role is looked up for each act, and is in no token."""

from typing import Final

from chatio.errors import RoleRequired
from chatio.stores.accounts import ROLES, Role, User


def require_role(user: User, least: Role) -> None:
    """Raise `RoleRequired` if `user` has a lesser role."""
    if _rank(user) < ROLES.index(least):
        raise RoleRequired


def require_power_over(actor: User, user: User) -> None:
    """Raise `RoleRequired` if `actor` may not act on `user`: an owner on owners, a moderator on non-members."""
    require_role(actor, "moderator")
    if _rank(actor) <= _rank(user):
        raise RoleRequired


def _rank(user: User) -> int:
    return _RANKS.get(user.role, 0)


_RANKS: Final = {role: rank for rank, role in enumerate(ROLES)}
