"""Moderators and owners over REST: what each role may do to which other, and what is recorded."""

import asyncio
import time
import uuid
from collections import deque
from typing import Any

import pytest

from chatio.chat.socket_sessions import EndReason
from chatio.errors import Muted
from chatio.stores.accounts import ROLES, Role, User
from chatio.throttling.rate_limiter import RateLimiter
from tests.unit.handlers.rest_server import PASSWORD, Answer, Rest

ACTS: dict[str, dict[str, Any]] = {
    "mute": {"seconds": 60},
    "kick": {},
    "ban": {"seconds": 60},
    "lift": {"sanction": "ban"},
    "role": {"role": "moderator"},
}


async def one(rest: Rest, name: str, role: Role = "member") -> tuple[str, str]:
    """The id and a token of a new user with this role, which the operator gave after the token was issued."""
    token = await rest.sign_up(name, f"{name}@chat.test")
    user_id = rest.tokens.verify(token).subject
    if role != "member":
        await rest.moderation.set_role(None, user_id, role, "named")
    return user_id, token


async def act(rest: Rest, token: str, kind: str, target: str, /, **fields: Any) -> Answer:
    body = {"user_id": target, "reason": "spam", **ACTS[kind], **fields}
    return await rest.call("POST", f"/moderation/{kind}", body, Authorization=f"Bearer {token}")


async def get(rest: Rest, token: str, path: str) -> Answer:
    return await rest.call("GET", path, Authorization=f"Bearer {token}")


async def found(rest: Rest, user_id: str) -> User:
    return await rest.registry.get(user_id)


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("actor", ROLES)
@pytest.mark.parametrize("target", ROLES)
async def test_a_role_acts_on_lesser_roles_only(rest: Rest, kind: str, actor: Role, target: Role) -> None:
    _, token = await one(rest, "actor", actor)
    user_id, _ = await one(rest, "target", target)
    before = await found(rest, user_id)
    last = await rest.trail.last_number()
    allowed = ROLES.index(actor) > ROLES.index(target) and (kind != "role" or actor == "owner")
    answer = await act(rest, token, kind, user_id)
    assert answer.status == (200 if allowed else 403)
    assert await rest.trail.last_number() == last + allowed
    if not allowed:
        assert answer.json == {"message": "Your role does not allow this.", "code": "role_required"}
        assert await found(rest, user_id) == before
        assert rest.ended == []


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("role", ROLES)
async def test_no_user_acts_on_themselves(rest: Rest, kind: str, role: Role) -> None:
    user_id, token = await one(rest, "ada", role)
    assert (await act(rest, token, kind, user_id)).status == 403
    assert (await found(rest, user_id)).role == role


async def test_a_member_is_not_told_which_users_exist(rest: Rest) -> None:
    _, token = await one(rest, "eve")
    other, _ = await one(rest, "ada")
    answers = [await act(rest, token, "ban", user_id) for user_id in (other, "none")]
    assert [(answer.status, answer.json) for answer in answers] == [(answers[0].status, answers[0].json)] * 2
    for path in ("/users", "/audit"):
        assert (await get(rest, token, path)).status == 403


async def test_a_role_that_was_taken_away_counts_no_more_whatever_the_token(rest: Rest) -> None:
    moderator, token = await one(rest, "max", "moderator")
    user_id, _ = await one(rest, "eve")
    await rest.moderation.set_role(None, moderator, "member", "misuse")
    for answer in (await act(rest, token, "ban", user_id), await get(rest, token, "/users")):
        assert answer.status == 403


async def test_a_target_who_is_promoted_meanwhile_is_not_acted_on(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The act has read the member; the promotion is recorded first."""
    _, token = await one(rest, "max", "moderator")
    user_id, _ = await one(rest, "eve")
    record = rest.trail.record

    async def promoted_first(*args: Any, **kwargs: Any) -> int | None:
        monkeypatch.setattr(rest.trail, "record", record)
        await rest.moderation.set_role(None, user_id, "owner", "first")
        return await record(*args, **kwargs)

    monkeypatch.setattr(rest.trail, "record", promoted_first)
    assert (await act(rest, token, "ban", user_id)).status == 403
    user = await found(rest, user_id)
    assert (user.role, user.banned_until) == ("owner", 0.0)


async def test_an_actor_who_is_demoted_meanwhile_does_nothing(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    moderator, token = await one(rest, "max", "moderator")
    user_id, _ = await one(rest, "eve")
    record = rest.trail.record

    async def demoted_first(*args: Any, **kwargs: Any) -> int | None:
        monkeypatch.setattr(rest.trail, "record", record)
        await rest.moderation.set_role(None, moderator, "member", "first")
        return await record(*args, **kwargs)

    monkeypatch.setattr(rest.trail, "record", demoted_first)
    assert (await act(rest, token, "ban", user_id)).status == 403
    assert (await found(rest, user_id)).banned_until == 0.0


@pytest.mark.parametrize("extra", [{"role": "owner"}, {"is_admin": True, "id": "1", "banned_until": "never"}])
async def test_a_registration_that_names_a_role_makes_a_member(rest: Rest, extra: dict[str, object]) -> None:
    body = {"name": "Eve", "email": "eve@chat.test", "password": PASSWORD, **extra}
    assert (await rest.call("POST", "/register", body)).status == 201
    assert (await get(rest, await rest.token("eve@chat.test"), "/user")).json["role"] == "member"


async def test_a_ban_ends_sessions_and_logins_until_it_is_lifted(rest: Rest) -> None:
    _, moderator = await one(rest, "max", "moderator")
    user_id, token = await one(rest, "eve")
    answer = await act(rest, moderator, "ban", user_id, seconds=None)
    assert answer.json == {
        "id": user_id,
        "name": "eve",
        "role": "member",
        "banned_until": "never",
        "muted_until": None,
    }
    assert rest.ended == [(user_id, EndReason.BANNED)]
    assert (await get(rest, token, "/user")).status == 401
    login = {"email": "eve@chat.test", "password": PASSWORD}
    refused = await rest.call("POST", "/login", login)
    assert (refused.status, refused.json) == (
        403,
        {"message": "This account is banned.", "code": "banned", "until": None},
    )
    wrong = await rest.call("POST", "/login", login | {"password": "a wrong password"})
    assert wrong.status == 404  # a client that does not know the password is told nothing of the ban
    assert (await act(rest, moderator, "ban", user_id, seconds=3600)).status == 200
    refused = await rest.call("POST", "/login", login)
    assert refused.json["until"] > "2026"
    assert (await act(rest, moderator, "lift", user_id)).json["banned_until"] is None
    assert (await rest.call("POST", "/login", login)).status == 200


async def test_a_muted_user_who_deletes_the_account_and_registers_again_stays_muted(rest: Rest) -> None:
    _, moderator = await one(rest, "max", "moderator")
    user_id, token = await one(rest, "eve")
    muted = await act(rest, moderator, "mute", user_id)
    body = {"password": PASSWORD}
    assert (await rest.call("DELETE", "/user", body, Authorization=f"Bearer {token}")).status == 204
    again, _ = await one(rest, "eve")
    assert again != user_id
    with pytest.raises(Muted):
        rest.moderation.enforcement.voices.require(again)
    (listed,) = (await get(rest, moderator, "/users?query=eve")).json["users"]
    assert listed["muted_until"] == muted.json["muted_until"]
    assert (await act(rest, moderator, "lift", again, sanction="mute")).status == 200
    rest.moderation.enforcement.voices.require(again)


async def test_a_kicked_user_may_log_in_again(rest: Rest) -> None:
    _, moderator = await one(rest, "max", "moderator")
    user_id, token = await one(rest, "eve")
    assert (await act(rest, moderator, "kick", user_id)).status == 200
    assert rest.ended == [(user_id, EndReason.KICKED)]
    assert (await get(rest, token, "/user")).status == 401
    assert (await get(rest, await rest.token("eve@chat.test"), "/user")).status == 200


async def test_of_acts_on_one_user_at_once_each_counts(rest: Rest) -> None:
    moderators = [(await one(rest, f"judge{n}", "moderator"))[1] for n in range(3)]
    user_id, _ = await one(rest, "eve")
    kinds = ("mute", "ban", "kick")
    answers = await asyncio.gather(
        *(act(rest, token, kind, user_id) for token, kind in zip(moderators, kinds, strict=True))
    )
    assert [answer.status for answer in answers] == [200] * 3
    user = await found(rest, user_id)
    assert user.banned_until > time.time()
    assert user.muted_until > time.time()


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        *((kind, {"reason": ""}, "reason") for kind in ACTS),
        ("kick", {"reason": "\u200b \n"}, "reason"),
        ("kick", {"reason": "x" * 501}, "reason"),
        ("kick", {"reason": 7}, "reason"),
        *(("mute", {"seconds": seconds}, "seconds") for seconds in (0, -1, None, "60", 1.5, 10**10)),
        *(("ban", {"seconds": seconds}, "seconds") for seconds in (0, -1, "60", 10**10)),
        ("lift", {"sanction": "kick"}, "sanction"),
        ("role", {"role": "god"}, "role"),
        ("kick", {"user_id": 7}, "user_id"),
    ],
)
async def test_an_act_that_is_not_valid_changes_nothing(
    rest: Rest, kind: str, fields: dict[str, Any], field: str
) -> None:
    _, token = await one(rest, "ada", "owner")
    user_id, _ = await one(rest, "eve")
    answer = await act(rest, token, kind, user_id, **fields)
    assert answer.status == 400
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert await rest.trail.last_number() == 1


async def test_an_act_on_no_user_answers_404(rest: Rest) -> None:
    _, token = await one(rest, "ada", "owner")
    for kind in ACTS:
        assert (await act(rest, token, kind, "none")).status == 404


async def test_acts_are_limited() -> None:
    rest = Rest()
    rest.acts = RateLimiter(1, 3600, burst=2)
    rest.start()
    _, token = await one(rest, "max", "moderator")
    user_id, _ = await one(rest, "eve")
    answers = [await act(rest, token, "mute", user_id) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    await rest.close()


async def test_owners_read_the_trail_page_by_page(rest: Rest) -> None:
    owner, token = await one(rest, "ada", "owner")
    moderator, other = await one(rest, "max", "moderator")
    user_id, _ = await one(rest, "eve")
    for reason in ("a", "b\u202e\x1b", "c"):
        assert (await act(rest, other, "mute", user_id, reason=reason)).status == 200
    assert (await get(rest, other, "/audit")).status == 403
    seen, before = [], ""
    while True:
        page = (await get(rest, token, f"/audit?limit=2{before}")).json
        assert len(page["acts"]) <= 2
        seen += page["acts"]
        if page["before"] is None:
            break
        before = f"&before={page['before']}"
    assert [entry["number"] for entry in seen] == [5, 4, 3, 2, 1]
    assert [entry["reason"] for entry in seen] == ["c", "b", "a", "named", "named"]
    newest, oldest = seen[0], seen[-1]
    assert (newest["action"], newest["actor_id"], newest["actor_name"]) == ("mute", moderator, "max")
    assert (newest["user_id"], newest["user_name"]) == (user_id, "eve")
    assert newest["until"] > newest["at"]
    assert (oldest["actor_id"], oldest["actor_name"], oldest["user_id"]) == ("", "operator", owner)
    assert (oldest["detail"], oldest["until"]) == ("owner", None)
    assert (await get(rest, token, "/audit?before=1")).json == {"acts": [], "before": None}
    assert (await get(rest, token, "/audit?before=99&limit=1")).json["acts"] == [newest]
    assert (await get(rest, token, "/audit?limit=101")).status == 400


async def test_a_trail_in_memory_ends_where_acts_were_dropped(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest.trail, "_acts", deque(maxlen=3))
    _, token = await one(rest, "ada", "owner")
    for _ in range(5):
        await one(rest, f"eve{uuid.uuid4().hex}", "moderator")
    page = (await get(rest, token, "/audit?limit=3")).json
    assert ([entry["number"] for entry in page["acts"]], page["before"]) == ([6, 5, 4], 4)
    assert (await get(rest, token, "/audit?limit=3&before=4")).json == {"acts": [], "before": None}


async def test_moderators_find_users_page_by_page(rest: Rest) -> None:
    _, token = await one(rest, "max", "moderator")
    for name in ("Anna", "ANKE", "Bob", "Hanno"):
        await one(rest, name)
    names, after = [], ""
    while True:
        page = (await get(rest, token, f"/users?query=aN&limit=2{after}")).json
        names += [user["name"] for user in page["users"]]
        if page["after"] is None:
            break
        after = f"&after={page['after']}"
    assert sorted(names) == ["ANKE", "Anna", "Hanno"]
    everyone = (await get(rest, token, "/users")).json["users"]
    assert {user["name"] for user in everyone} == {"max", "Anna", "ANKE", "Bob", "Hanno"}
    assert {tuple(user) for user in everyone} == {("id", "name", "role", "banned_until", "muted_until")}


@pytest.mark.parametrize("kind", ACTS)
async def test_a_connected_user_whose_account_a_restart_has_forgotten_is_acted_on(rest: Rest, kind: str) -> None:
    _, moderator = await one(rest, "max", "owner")
    token = rest.tokens.issue(subject="stranger", name="Eve", email="eve@chat.test")
    assert (await act(rest, moderator, kind, "stranger")).status == 404
    rest.online.add("stranger")
    answer = await act(rest, moderator, kind, "stranger")
    assert answer.status == (404 if kind == "role" else 200)
    if kind in ("kick", "ban"):
        assert [user_id for user_id, _ in rest.ended] == ["stranger"]
        assert (await get(rest, token, "/messages")).status == 401
    if kind == "mute":
        with pytest.raises(Muted):
            rest.moderation.enforcement.voices.require("stranger")
