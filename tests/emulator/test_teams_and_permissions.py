"""Teams, permissions and API keys beyond what the recordings show: races, cycles, what ends with what."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from .api import Api, assert_rejected


async def team(api: Api, token: str, name: str = "Red") -> str:
    answer = await api.post("/teams", {"display_name": name}, token=token)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def define(api: Api, name: str, scope: str = "team", *contained: str) -> httpx.Response:
    body = {"id": name, "scope": scope, "contained_permission_ids": list(contained)}
    return await api.http.post("/emulator/permissions", json=body)


async def has(api: Api, token: str, team_id: str, name: str) -> bool:
    path = f"/team-permissions?user_id=me&team_id={team_id}&permission_id={name}&recursive=true"
    answer = await api.get(path, token=token)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["items"])


async def test_a_permission_reaches_through_all_that_contain_it(api: Api) -> None:
    ada = await api.sign_up()
    team_id = await team(api, ada["access_token"])
    for name, contained in (("read", ()), ("write", ("read",)), ("all", ("write",))):
        assert (await define(api, name, "team", *contained)).status_code == 200
    path = f"/team-permissions/{team_id}/{ada['user_id']}/all"
    assert (await api.post(path, {}, access="server")).status_code == 201
    assert await has(api, ada["access_token"], team_id, "read")
    await define(api, "write", "team")
    assert not await has(api, ada["access_token"], team_id, "read")


async def test_permissions_that_contain_each_other_end(api: Api) -> None:
    ada = await api.sign_up()
    team_id = await team(api, ada["access_token"])
    await define(api, "one")
    await define(api, "two", "team", "one")
    await define(api, "one", "team", "two")
    await api.post(f"/team-permissions/{team_id}/{ada['user_id']}/one", {}, access="server")
    assert await has(api, ada["access_token"], team_id, "two")


async def test_a_permission_that_is_removed_is_nobodys(api: Api) -> None:
    ada = await api.sign_up()
    team_id = await team(api, ada["access_token"])
    await define(api, "posts:delete")
    await api.post(f"/team-permissions/{team_id}/{ada['user_id']}/posts:delete", {}, access="server")
    removed = await api.http.request("DELETE", "/emulator/permissions", json={"id": "posts:delete"})
    assert removed.status_code == 200
    assert not await has(api, ada["access_token"], team_id, "posts:delete")
    again = await api.http.request("DELETE", "/emulator/permissions", json={"id": "posts:delete"})
    assert again.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"id": "$own", "scope": "team"}, {"id": "UP", "scope": "team"}, {"id": "x", "scope": "planet"}, {"id": "x"},
        {"id": "x", "scope": "team", "contained_permission_ids": ["nope"]}, {"id": "team_admin", "scope": "project"},
        {"id": "x", "scope": "project", "contained_permission_ids": ["team_member"]},
    ],
    ids=range(7),
)  # fmt: skip
async def test_a_permission_of_the_wrong_form_is_refused_whole(api: Api, body: dict[str, Any]) -> None:
    before = (await api.get("/team-permission-definitions", access="admin")).json()
    answer = await api.http.post("/emulator/permissions", json=body)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert (await api.get("/team-permission-definitions", access="admin")).json() == before


async def test_who_leaves_a_team_loses_what_they_had_there(api: Api) -> None:
    ada = await api.sign_up()
    team_id = await team(api, ada["access_token"])
    await api.patch("/users/me", {"selected_team_id": team_id}, token=ada["access_token"])
    body = {"description": "ci", "expires_at_millis": None, "team_id": team_id}
    assert (await api.post("/team-api-keys", body, token=ada["access_token"])).status_code == 200
    assert (await api.delete(f"/team-memberships/{team_id}/me", token=ada["access_token"])).status_code == 200
    me = (await api.me(ada["access_token"])).json()
    assert (me["selected_team_id"], me["selected_team"]) == (None, None)
    assert not await has(api, ada["access_token"], team_id, "$update_team")
    assert_rejected(await api.post("/team-api-keys", body, token=ada["access_token"]), 404, "API_KEY_NOT_FOUND")
    await api.post(f"/team-memberships/{team_id}/{ada['user_id']}", {}, access="server")
    assert not await has(api, ada["access_token"], team_id, "$update_team"), "a member again, and no more"
    assert await has(api, ada["access_token"], team_id, "$read_members")


async def test_a_selected_team_stands_in_the_next_token(api: Api) -> None:
    from .replaying import claims

    ada = await api.sign_up()
    team_id = await team(api, ada["access_token"])
    await api.patch("/users/me", {"selected_team_id": team_id.upper()}, token=ada["access_token"])
    fresh = (await api.refresh(ada["refresh_token"])).json()["access_token"]
    assert claims(fresh)["selected_team_id"] == team_id
    await api.delete(f"/teams/{team_id}", access="server")
    fresh = (await api.refresh(ada["refresh_token"])).json()["access_token"]
    assert claims(fresh)["selected_team_id"] is None


async def test_of_many_who_add_the_same_member_at_once_one_does(api: Api) -> None:
    ada = await api.sign_up()
    made = await api.post("/teams", {"display_name": "Blue"}, access="server")
    path = f"/team-memberships/{made.json()['id']}/{ada['user_id']}"
    answers = await asyncio.gather(*(api.post(path, {}, access="server") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert_rejected(answers[[a.status_code for a in answers].index(409)], 409, "TEAM_MEMBERSHIP_ALREADY_EXISTS")


async def test_an_invitation_joins_once_and_ends_after_a_week(api: Api) -> None:
    ada, eve = await api.sign_up(), await api.sign_up(email="eve@example.com")
    team_id = await team(api, ada["access_token"])
    body = {"team_id": team_id, "email": "eve@example.com", "callback_url": "http://localhost:3000/join"}
    for _ in range(2):
        assert (await api.post("/team-invitations/send-code", body, token=ada["access_token"])).status_code == 200
    first, second = (mail["code"] for mail in api.emails(to="eve@example.com", kind="team_invitation"))
    path = "/team-invitations/accept"
    assert (await api.post(path, {"code": first}, token=eve["access_token"])).status_code == 200
    assert_rejected(
        await api.post(path, {"code": first}, token=eve["access_token"]), 409, "VERIFICATION_CODE_ALREADY_USED"
    )
    api.emulator.clock.advance(7 * 24 * 3600 + 1)
    fresh = (await api.refresh(eve["refresh_token"])).json()["access_token"]
    assert_rejected(await api.post(path, {"code": second}, token=fresh), 400, "VERIFICATION_CODE_EXPIRED")


async def test_a_guest_cannot_accept_an_invitation_and_burns_it(api: Api) -> None:
    ada = await api.sign_up()
    team_id = await team(api, ada["access_token"])
    body = {"team_id": team_id, "email": "eve@example.com", "callback_url": "http://localhost:3000/join"}
    await api.post("/team-invitations/send-code", body, token=ada["access_token"])
    code = api.emails(kind="team_invitation")[0]["code"]
    guest = api.emulator.issue_token(kind="anonymous")["access_token"]
    how = {"token": guest, "allow_anonymous_user": "true"}
    answer = await api.post("/team-invitations/accept", {"code": code}, **how)
    assert_rejected(answer, 403, "TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED")
    again = await api.post("/team-invitations/accept", {"code": code}, **how)
    assert_rejected(again, 409, "VERIFICATION_CODE_ALREADY_USED")


@pytest.mark.parametrize("kind", ["user", "team"])
async def test_a_key_is_shown_once_and_kept_as_a_hash(api: Api, kind: str) -> None:
    """A key is shown once in the contracts form and kept as a hash."""
    ada = await api.sign_up()
    owner = ada["user_id"] if kind == "user" else await team(api, ada["access_token"])
    body = {"description": "ci", "expires_at_millis": None, f"{kind}_id": owner}
    made = (await api.post(f"/{kind}-api-keys", body, token=ada["access_token"])).json()
    assert re.fullmatch(rf"sk_[0-9a-z]{{45}}[0-9a-f]{{32}}{kind}1574ck4u7h[0-9a-f]{{8}}", made["value"])
    database = api.emulator.store.database
    tables = database.all("select name from sqlite_master where type = 'table'")
    stored = [database.all(f"select * from {table['name']}") for table in tables]
    assert made["id"] in str(stored)
    assert made["value"] not in str(stored)
    checked = await api.post(f"/{kind}-api-keys/check", {"api_key": made["value"]}, access="server")
    assert checked.json()["value"] == {"last_four": made["value"][-4:]}
    other = "team" if kind == "user" else "user"
    wrong = await api.post(f"/{other}-api-keys/check", {"api_key": made["value"]}, access="server")
    assert_rejected(wrong, 400, "WRONG_API_KEY_TYPE")


async def test_keys_end_with_their_user(api: Api) -> None:
    ada = await api.sign_up()
    body = {"description": "ci", "expires_at_millis": None, "user_id": "me"}
    made = (await api.post("/user-api-keys", body, token=ada["access_token"])).json()
    await api.delete("/users/me", token=ada["access_token"])
    gone = await api.post("/user-api-keys/check", {"api_key": made["value"]}, access="server")
    assert_rejected(gone, 404, "API_KEY_NOT_FOUND")


async def test_a_member_without_permission_sees_no_team_keys(api: Api) -> None:
    """A member without the permission cannot tell a teams keys from none."""
    ada, eve = await api.sign_up(), await api.sign_up(email="eve@example.com")
    team_id = await team(api, ada["access_token"])
    await api.post(f"/team-memberships/{team_id}/{eve['user_id']}", {}, access="server")
    assert_rejected(
        await api.get(f"/team-api-keys?team_id={team_id}", token=eve["access_token"]), 404, "API_KEY_NOT_FOUND"
    )


async def test_reset_deletes_teams_and_keeps_permission_definitions(api: Api) -> None:
    ada = await api.sign_up()
    await team(api, ada["access_token"])
    await define(api, "posts:delete")
    await api.http.post("/emulator/reset")
    assert (await api.get("/teams", access="server")).json()["items"] == []
    names = [row["id"] for row in (await api.get("/team-permission-definitions", access="admin")).json()["items"]]
    assert "posts:delete" in names


@pytest.mark.parametrize("time", ["1e300", "-1e300", "9223372036854775808", "8640000000000001"])
async def test_an_expiry_beyond_the_calendar_is_refused(api: Api, time: str) -> None:
    ada = await api.sign_up()
    content = f'{{"description": "ci", "user_id": "me", "expires_at_millis": {time}}}'
    headers = {**api.headers("client", ada["access_token"]), "content-type": "application/json"}
    answer = await api.http.post("/api/v1/user-api-keys", content=content, headers=headers)
    assert_rejected(answer, 400, "SCHEMA_ERROR")
