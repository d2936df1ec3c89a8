"""Who may do what: each kind of caller at the routes of accounts, teams and API keys, beside what the auth server says.

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
from fastapi_stackauth.models import ApiKeyCreate, ServerOAuthProviderCreate
from tests.routers.callers import ORIGIN, PASSWORD, PREFIXES, House, new_stack
from tests.routers.operations import operations

LETTERS = {
    "a": "anonymous", "r": "restricted", "o": "outsider", "m": "member", "A": "admin", "O": "other_admin",
}  # fmt: skip
USERS = tuple(LETTERS.values())
ALL = ("signed_out", *USERS, "user_key", "team_key")
ANY_USER = "aromAO"


@dataclass(frozen=True)
class Row:
    """A route: the request, what the auth server is asked for the same, and who may.

    In paths, queries and bodies, names in braces stand for ids of the stage. `may` has a letter for each caller that
    may. A route with several rows is the first word of each name.
    """

    ours: str
    theirs: str
    may: str
    body: Any = None
    their_body: Any = None

    @property
    def callers(self) -> set[str]:
        """Return the names of those who may."""
        return {LETTERS[letter] for letter in self.may}


NAME = {"display_name": "New"}
SECRET = {"password": PASSWORD}
SEND = {"team_id": "{red}", "email": "{address}", "callback_url": f"{ORIGIN}/x"}
TEXT = {"description": "robot"}
NEVER = {"expires_at_millis": None}
PERMISSION = "{red}/{target}/notes:delete"
TABLE: dict[str, Row] = {
    "me": Row("GET /me", "GET /users/me", ANY_USER),
    "me_update": Row("PATCH /me", "PATCH /users/me", ANY_USER, NAME, NAME),
    "me_delete": Row("DELETE /me", "DELETE /users/me", ANY_USER),
    "sessions_list": Row("GET /sessions", "GET /auth/sessions?user_id=me", ANY_USER),
    "sessions_end": Row("DELETE /sessions/{session}", "DELETE /auth/sessions/{session}?user_id=me", "A"),
    "sessions_end_others": Row("DELETE /sessions", "GET /auth/sessions?user_id=me", ANY_USER),
    "contact_channels_list": Row("GET /contact-channels", "GET /contact-channels?user_id=me", ANY_USER),
    "contact_channels_add": Row(
        "POST /contact-channels", "POST /contact-channels", ANY_USER, {"value": "{address}"},
        {"user_id": "me", "value": "{address}", "type": "email", "used_for_auth": False},
    ),
    "contact_channels_delete": Row(
        "DELETE /contact-channels/{channel}", "DELETE /contact-channels/me/{channel}", "A"
    ),
    "contact_channels_make_primary": Row(
        "POST /contact-channels/{channel}/make-primary", "PATCH /contact-channels/me/{channel}", "A", None,
        {"is_primary": True},
    ),
    "contact_channels_send_verification": Row(
        "POST /contact-channels/{channel}/send-verification",
        "POST /contact-channels/me/{channel}/send-verification-code", "A", None, {"callback_url": f"{ORIGIN}/x"},
    ),
    "connected_accounts_list": Row("GET /connected-accounts", "GET /connected-accounts/me", ANY_USER),
    "connected_accounts_delete": Row(
        "DELETE /connected-accounts/github", "DELETE /oauth-providers/me/{connection}", "A"
    ),
    "password_set": Row("POST /password/set", "POST /auth/password/set", ANY_USER, SECRET, SECRET),
    "passkey_register_options": Row(
        "POST /passkey/register/options", "POST /auth/passkey/initiate-passkey-registration", ANY_USER
    ),
    "mfa_enroll": Row("POST /mfa/enroll", "GET /users/me", ANY_USER),
    "mfa_disable": Row("POST /mfa/disable", "PATCH /users/me", ANY_USER, None, {"totp_secret_base64": None}),
    "teams_list": Row("GET /teams", "GET /teams?user_id=me", ANY_USER),
    "teams_create": Row("POST /teams", "POST /teams", ANY_USER, NAME, NAME),
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
        "GET /teams/{red}/permissions", "GET /team-permissions?team_id={red}&user_id=me", ANY_USER
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
    "invitations_list": Row("GET /invitations", "GET /team-invitations?user_id=me", ANY_USER),
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
    "api_keys_list": Row("GET /api-keys", "GET /user-api-keys?user_id=me", ANY_USER),
    "api_keys_create": Row(
        "POST /api-keys", "POST /user-api-keys", ANY_USER, TEXT, {**TEXT, **NEVER, "user_id": "me"}
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
    "device_verify": Row(
        "POST /device/verify", "POST /auth/cli/complete", "omAO", {"user_code": "{device}"},
        {"login_code": "{login}", "mode": "check"},
    ),
    "device_confirm": Row(
        "POST /device/confirm", "POST /auth/cli/complete", "omAO", {"user_code": "{device}"},
        {"login_code": "{login}", "refresh_token": "{refresh}"},
    ),
    "device_deny": Row(
        "POST /device/deny", "POST /auth/cli/complete", "omAO", {"user_code": "{device}"},
        {"login_code": "{login}", "mode": "check"},
    ),
    "api_keys_update of a team's key": Row(
        "PATCH /api-keys/{red_key}", "PATCH /user-api-keys/{red_key}", "", TEXT, TEXT
    ),
    "team_api_keys_update by another team": Row(
        "PATCH /teams/{blue}/api-keys/{red_key}", "PATCH /team-api-keys/{red_key}?team_id={blue}", "", TEXT, TEXT
    ),
}  # fmt: skip
ONCE = ("DELETE /me", "POST /password/set")
"""What a user can do only once."""
LEFT_OUT = {
    "invitations_accept_page": "a page that shows what `invitations_details` returns",
    "connected_accounts_get_token": "needs a provider, which the emulator does not have",
}
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
        """Configure the auth server."""
        for permission in ("notes:delete", "notes:read"):
            self.server.define_permission(permission)
        self.server.configure(
            allow_user_api_keys=True, allow_team_api_keys=True, client_user_deletion_enabled=True, passkey_enabled=True
        )

    async def sign_up(self) -> None:
        """Make the users, and the admin's key."""
        for name in USERS:
            kind = name if name in ("anonymous", "restricted") else "normal"
            self.tokens[name] = self.server.issue_token(kind=kind)
        admin = self.tokens["admin"]["user_id"]
        self.keys["user_key"] = (await self._admin.user_api_keys.create(KEY, user_id=admin)).value

    @property
    def _admin(self) -> Any:
        return self.house.stack.client.as_server()

    async def set_up(self, caller: str, row: Row) -> dict[str, str]:
        """Make a team, and return the ids that a cell needs."""
        server, asked = self.server, f"{row}"
        if caller == ALL[0] or row.ours in ONCE:
            await self.sign_up()
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
        if "{device}" in asked:
            ids |= await self._start_device(caller)
        ids |= await self._make_property(asked, ids["address"])
        if "{red_key}" in asked or caller == "team_key":
            key = await self._admin.team_api_keys.create(KEY, team_id=ids["red"])
            ids["red_key"], self.keys["team_key"] = key.id, key.value
        return ids

    async def _start_device(self, caller: str) -> dict[str, str]:
        """Return the codes of a device, and what a caller gives the auth server for it."""
        started = await self.app.post(PREFIXES["body"] + "/device/authorization", data={"client_id": "notes-cli"})
        login = self.server.store.cli_logins.list_for_project(self.server.project_id, 1)[0]
        refresh = self.tokens[caller]["refresh_token"] if caller in USERS else ""
        return {"device": started.json()["user_code"], "login": login["login_code"], "refresh": refresh}

    async def _make_property(self, asked: str, address: str) -> dict[str, str]:
        """Return the ids of what the admin has, as far as a row asks for them."""
        server, admin, ids = self.server, self.tokens["admin"]["user_id"], {}
        user = server.store.users.get(server.project.id, admin)
        assert user is not None
        if "{session}" in asked:
            ids["session"] = server.store.sessions.create(user)["id"]
        if "{channel}" in asked:
            flags = {"is_primary": False, "is_verified": False, "used_for_auth": False}
            ids["channel"] = server.store.channels.create(user, f"c-{address}", flags)["id"]
        if "github" in asked:
            account = ServerOAuthProviderCreate(
                user_id=admin,
                provider_config_id="github",
                account_id=_unique(),
                allow_sign_in=False,
                allow_connected_accounts=True,
            )
            ids["connection"] = (await self._admin.oauth_providers.create(account)).id
        if "{key}" in asked:
            ids["key"] = (await self._admin.user_api_keys.create(KEY, user_id=admin)).id
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
        elif caller in self.keys:
            headers["x-stack-access-token"] = self.keys[caller]  # the only header with which a client names a user
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
    """Of accounts, teams and API keys. Pages show what routes of the table do."""
    tags = ("sessions", "contact_channels", "connected_accounts", "teams", "team_", "invitations", "api_keys", "device")
    names = {r.operation_id.removeprefix("token_") for r in operations(house.app, PREFIXES["body"])}
    expected = {name for name in names if name.startswith(tags) or name in ("me", "me_update", "me_delete")}
    assert expected - set(LEFT_OUT) <= {name.split()[0] for name in TABLE} <= names


@pytest.mark.parametrize("options", [{}, {"publishable_client_key": None}], ids=["both keys", "secret key alone"])
async def test_each_caller_may_what_the_table_says(server: Emulator, options: dict[str, Any]):
    """Whichever keys the app has, its routes let exactly these callers pass."""
    found = {}
    async with open_stage(server, **options) as stage:
        for name, row in TABLE.items():
            passed = {caller for caller in ALL if (await stage.ask_us(caller, row)).is_success}
            found[name] = passed
    assert found == {name: row.callers for name, row in TABLE.items()}


async def test_no_caller_may_more_than_the_auth_server_lets_them(server: Emulator):
    """Except where the reason is written down."""
    async with open_stage(server) as stage:
        for name, row in TABLE.items():
            passed = {caller for caller in ALL if (await stage.ask_auth_server(caller, row)).is_success}
            more = row.callers - passed
            assert bool(more) == (name in EXCEPTIONS), f"{name}: {more}"
