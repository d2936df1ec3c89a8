"""Who may do what: every kind of caller at the routes of teams and API keys, beside what the auth server lets them do.

Anonymous and restricted users administer the team, as does `admin`; `other_admin` administers another team. The keys
are the admin's own API key and one of the team.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.models import ApiKeyCreate
from tests.routers.callers import ORIGIN, PREFIXES, House, new_stack
from tests.routers.operations import operations

USERS = ("anonymous", "restricted", "outsider", "member", "admin", "other_admin")
ALL = ("signed_out", *USERS, "user_key", "team_key")


@dataclass(frozen=True)
class Row:
    """A route: the request, what the auth server is asked for the same, and who may.

    In paths, queries and bodies, names in braces stand for ids of the stage. `may` lists the first letters of `USERS`.
    A route with several rows is the first word of each name.
    """

    ours: str
    theirs: str
    may: str
    body: Any = None
    their_body: Any = None


NAME = {"display_name": "New"}
SEND = {"team_id": "{red}", "email": "{address}", "callback_url": f"{ORIGIN}/x"}
TEXT = {"description": "robot"}
NEVER = {"expires_at_millis": None}
PERMISSION = "{red}/{target}/notes:delete"
TABLE: dict[str, Row] = {
    "teams_list": Row("GET /teams", "GET /teams?user_id=me", "aromAO"),
    "teams_create": Row("POST /teams", "POST /teams", "aromAO", NAME, NAME),
    "teams_get": Row("GET /teams/{red}", "GET /teams/{red}", "armA"),
    "teams_update": Row("PATCH /teams/{red}", "PATCH /teams/{red}", "arA", NAME, NAME),
    "teams_delete": Row("DELETE /teams/{red}", "DELETE /teams/{red}", "arA"),
    "teams_select": Row("POST /teams/{red}/select", "PATCH /users/me", "armA", None, {"selected_team_id": "{red}"}),
    "teams_leave": Row("POST /teams/{red}/leave", "DELETE /team-memberships/{red}/me", "armA"),
    "team_members_list": Row("GET /teams/{red}/members", "GET /team-member-profiles?team_id={red}", "armA"),
    "team_members_remove": Row(
        "DELETE /teams/{red}/members/{target}", "DELETE /team-memberships/{red}/{target}", "arA"
    ),
    "team_profile_get": Row("GET /teams/{red}/profile", "GET /team-member-profiles/{red}/me", "armA"),
    "team_profile_update": Row(
        "PATCH /teams/{red}/profile", "PATCH /team-member-profiles/{red}/me", "armA", NAME, NAME
    ),
    "team_permissions_list": Row(
        "GET /teams/{red}/permissions", "GET /team-permissions?team_id={red}&user_id=me", "aromAO"
    ),
    "team_permissions_grant": Row(
        "POST /teams/{red}/members/{target}/permissions/notes:delete", f"POST /team-permissions/{PERMISSION}", "A"
    ),
    "team_permissions_revoke": Row(
        "DELETE /teams/{red}/members/{target}/permissions/notes:read",
        "DELETE /team-permissions/{red}/{target}/notes:read",
        "A",
    ),
    "team_invitations_send": Row(
        "POST /teams/{red}/invitations", "POST /team-invitations/send-code", "mA", {"email": "{address}"}, SEND
    ),
    "team_invitations_list": Row("GET /teams/{red}/invitations", "GET /team-invitations?team_id={red}", "armA"),
    "team_invitations_revoke": Row(
        "DELETE /teams/{red}/invitations/{invitation}", "DELETE /team-invitations/{invitation}?team_id={red}", "arA"
    ),
    "invitations_list": Row("GET /invitations", "GET /team-invitations?user_id=me", "aromAO"),
    "invitations_accept_by_id": Row(
        "POST /invitations/{own}/accept", "POST /team-invitations/{own}/accept?user_id=me", "omAO", None, {}
    ),
    "invitations_details": Row(
        "POST /invitations/details", "POST /team-invitations/accept/details", "omAO", {"code": "{code}"},
        {"code": "{code}"},
    ),
    "invitations_accept": Row(
        "POST /invitations/accept", "POST /team-invitations/accept", "omAO", {"code": "{code}"}, {"code": "{code}"}
    ),
    "api_keys_list": Row("GET /api-keys", "GET /user-api-keys?user_id=me", "aromAO"),
    "api_keys_create": Row(
        "POST /api-keys", "POST /user-api-keys", "aromAO", TEXT, {**TEXT, **NEVER, "user_id": "me"}
    ),
    "api_keys_update": Row("PATCH /api-keys/{key}", "PATCH /user-api-keys/{key}", "A", TEXT, TEXT),
    "api_keys_revoke": Row("DELETE /api-keys/{key}", "PATCH /user-api-keys/{key}", "A", None, {"revoked": True}),
    "team_api_keys_list": Row("GET /teams/{red}/api-keys", "GET /team-api-keys?team_id={red}", "arA"),
    "team_api_keys_create": Row(
        "POST /teams/{red}/api-keys", "POST /team-api-keys", "arA", TEXT, {**TEXT, **NEVER, "team_id": "{red}"}
    ),
    "team_api_keys_update": Row(
        "PATCH /teams/{red}/api-keys/{red_key}", "PATCH /team-api-keys/{red_key}?team_id={red}", "arA", TEXT, TEXT
    ),
    "team_api_keys_revoke": Row(
        "DELETE /teams/{red}/api-keys/{red_key}", "PATCH /team-api-keys/{red_key}?team_id={red}", "arA", None,
        {"revoked": True},
    ),
    "api_keys_update of a team's key": Row(
        "PATCH /api-keys/{red_key}", "PATCH /user-api-keys/{red_key}", "", TEXT, TEXT
    ),
    "team_api_keys_update by another team": Row(
        "PATCH /teams/{blue}/api-keys/{red_key}", "PATCH /team-api-keys/{red_key}?team_id={blue}", "", TEXT, TEXT
    ),
}  # fmt: skip
EXCEPTIONS = {
    "team_permissions_grant": "the auth server lets only servers grant; `Grants` and the checks of permissions.py",
    "team_permissions_revoke": "the same",
}
"""Routes that let users do more than the auth server would, each with the reason."""


class Stage:
    """An app with a team, made anew for each cell of the table."""

    def __init__(self, server: Emulator, house: House) -> None:
        self.server = server
        self.house = house
        self.tokens: dict[str, dict[str, str]] = {}
        self.keys: dict[str, str] = {}
        transport = httpx.ASGITransport(house.app)
        self.app = httpx.AsyncClient(transport=transport, base_url=ORIGIN)
        self.auth_server = httpx.AsyncClient(base_url=f"{server.url}/api/v1")

    async def open(self) -> None:
        """Make the callers."""
        for permission in ("notes:delete", "notes:read"):
            self.server.define_permission(permission)
        self.server.configure(allow_user_api_keys=True, allow_team_api_keys=True)
        for name in USERS:
            kind = name if name in ("anonymous", "restricted") else "normal"
            self.tokens[name] = self.server.issue_token(kind=kind)
        self.keys["user_key"] = (
            await self._admin.user_api_keys.create(KEY, user_id=self.tokens["admin"]["user_id"])
        ).value

    @property
    def _admin(self) -> Any:
        return self.house.stack.client.as_server()

    async def set_up(self, caller: str, row: Row) -> dict[str, str]:
        """Make a team, and return the ids that a cell needs."""
        server, asked = self.server, f"{row}"
        ids = {"red": server.add_team("Red"), "blue": server.add_team("Blue"), "address": f"{_unique()}@example.com"}
        ids["target"] = server.add_user(primary_email=f"{_unique()}@example.com")
        server.join(ids["red"], ids["target"], ["team_member", "notes:read"])
        everything = ("team_admin", "notes:delete", "notes:read")
        for name in ("anonymous", "restricted", "admin"):
            server.join(ids["red"], self.tokens[name]["user_id"], everything)
        server.join(ids["red"], self.tokens["member"]["user_id"])
        server.join(ids["blue"], self.tokens["other_admin"]["user_id"], everything)
        if "{invitation}" in asked or "{code}" in asked:
            ids["invitation"] = await self._invite(ids["red"], f"a-{ids['address']}")
            ids["code"] = server.emails(f"a-{ids['address']}")[0]["code"]
        if "{own}" in asked:
            primary = caller in USERS and server.store.channels.primary(self.tokens[caller]["user_id"])
            ids["own"] = await self._invite(ids["blue"], primary["value"] if primary else f"b-{ids['address']}")
        if "{key}" in asked:
            ids["key"] = (await self._admin.user_api_keys.create(KEY, user_id=self.tokens["admin"]["user_id"])).id
        if "{red_key}" in asked or caller == "team_key":
            key = await self._admin.team_api_keys.create(KEY, team_id=ids["red"])
            ids["red_key"], self.keys["team_key"] = key.id, key.value
        return ids

    async def _invite(self, team_id: str, email: str) -> str:
        invited = await self._admin.team_invitations.send(team_id, email=email, callback_url=f"{ORIGIN}/x")
        return str(invited.id)

    async def ask_us(self, caller: str, row: Row) -> httpx.Response:
        """Send the request to our route."""
        ids = await self.set_up(caller, row)
        headers = {}
        if caller in USERS:
            headers["authorization"] = f"Bearer {self.tokens[caller]['access_token']}"
        elif caller in self.keys:
            headers["x-api-key"] = self.keys[caller]
        method, path = row.ours.split(" ")
        path = PREFIXES["body"] + path.format(**ids)
        return await self.app.request(method, path, json=_fill_in(row.body, ids), headers=headers)

    async def ask_auth_server(self, caller: str, row: Row) -> httpx.Response:
        """Ask the auth server for the same, with the rights of a client."""
        ids = await self.set_up(caller, row)
        headers = {
            "x-stack-access-type": "client",
            "x-stack-project-id": self.server.project_id,
            "x-stack-publishable-client-key": self.server.publishable_client_key,
            "x-stack-allow-anonymous-user": "true",
        }
        if caller in USERS:
            headers["x-stack-access-token"] = self.tokens[caller]["access_token"]
        method, path = row.theirs.split(" ")
        return await self.auth_server.request(
            method, path.format(**ids), json=_fill_in(row.their_body, ids), headers=headers
        )


KEY = ApiKeyCreate(description="robot", expires_at_millis=None)


def _unique() -> str:
    return secrets.token_hex(6)


def _fill_in(body: Any, ids: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {name: value.format(**ids) if isinstance(value, str) else value for name, value in body.items()}
    return body


def _letters(callers: set[str]) -> str:
    """Return who may as the table writes it; whole names for those who never may."""
    letters = dict(zip(USERS, "aromAO", strict=True))
    return "".join(letters[name] for name in USERS if name in callers) + "".join(sorted(callers - set(USERS)))


@asynccontextmanager
async def open_stage(server: Emulator, **options: Any) -> AsyncIterator[Stage]:
    """An app with these settings."""
    stack = new_stack(server, secret_server_key=server.secret_server_key, **options)
    stage = Stage(server, House(server, stack))
    await stage.open()
    async with stage.app, stage.auth_server:
        yield stage
    await stack.aclose()


def test_the_table_has_every_route(house: House):
    """Pages aside, which show what the routes of the table do."""
    tags = ("teams", "team_", "invitations", "api_keys")
    names = {r.operation_id.removeprefix("token_") for r in operations(house.app, PREFIXES["body"])}
    assert {name for name in names if name.startswith(tags)} - {"invitations_accept_page"} == {
        name.split()[0] for name in TABLE
    }


@pytest.mark.parametrize("options", [{}, {"publishable_client_key": None}], ids=["both keys", "secret key alone"])
async def test_each_caller_may_what_the_table_says(server: Emulator, options: dict[str, Any]):
    """Whichever keys the app has, its routes let exactly these callers pass."""
    found = {}
    async with open_stage(server, **options) as stage:
        for name, row in TABLE.items():
            passed = {caller for caller in ALL if (await stage.ask_us(caller, row)).is_success}
            found[name] = _letters(passed)
    assert found == {name: row.may for name, row in TABLE.items()}


async def test_no_caller_may_more_than_the_auth_server_lets_them(server: Emulator):
    """Except where the reason is written down."""
    async with open_stage(server) as stage:
        for name, row in TABLE.items():
            passed = {caller for caller in ALL if (await stage.ask_auth_server(caller, row)).is_success}
            more = set(row.may) - set(_letters(passed))
            assert bool(more) == (name in EXCEPTIONS), f"{name}: {more}"
