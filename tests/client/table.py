"""Every operation that the client has a method for, and one call of it. The tests of the families walk this table.

A test holds it complete: an operation of the contract without a row fails, and so does a method without one.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from fastapi_stackauth import Settings
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.client import BoundResource
from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.models import (
    ApiKeyCreate,
    ApiKeyUpdate,
    ContactChannelCreate,
    ContactChannelUpdate,
    CurrentUserUpdate,
    OAuthProviderUpdate,
    ServerContactChannelCreate,
    ServerContactChannelUpdate,
    ServerOAuthProviderCreate,
    ServerOAuthProviderUpdate,
    ServerTeamCreate,
    ServerTeamUpdate,
    ServerUserCreate,
    ServerUserUpdate,
    TeamCreate,
    TeamMemberProfileUpdate,
    TeamUpdate,
)

DATA = Path(__file__).parents[1] / "data"
API = "/api/v1"
FAMILIES = {
    "auth/password", "auth/otp", "auth/passkey", "auth/oauth", "auth/anonymous", "auth/mfa", "auth/sessions",
    "auth/cli", "users", "contact-channels", "teams", "team-memberships", "team-member-profiles",
    "team-invitations", "team-permissions", "project-permissions", "api-keys", "connected-accounts", "oauth-providers",
    "projects",
}  # fmt: skip

Act = Callable[[StackAuthClient], Awaitable[object]]
MAIL: dict[str, Any] = {"email": "ada@example.com", "callback_url": "https://app.example/back"}
FLOW: dict[str, Any] = {"redirect_uri": "https://app.example/back", "state": "s", "code_challenge": "c" * 43}
KEY = ApiKeyCreate(description="ci", expires_at_millis=datetime(2030, 1, 1, tzinfo=UTC))
ACCOUNT = ServerOAuthProviderCreate(
    user_id="u", provider_config_id="github", account_id="a", allow_sign_in=True, allow_connected_accounts=False
)


async def first_page(client: StackAuthClient) -> object:
    return await client.users.list(query="ada", team_id="t", newest_first=True).page("c")


PERSONS: dict[str, Act] = {
    "POST /auth/password/sign-up": lambda c: c.password.sign_up(email="ada@example.com", password="Correct-Horse-7"),
    "POST /auth/password/sign-in": lambda c: c.password.sign_in(email="ada@example.com", password="Correct-Horse-7"),
    "POST /auth/password/set": lambda c: c.password.set(password="Correct-Horse-7"),
    "POST /auth/password/update": lambda c: c.password.update(old_password="a", new_password="b", refresh_token="r"),
    "POST /auth/password/send-reset-code": lambda c: c.password.send_reset_code(**MAIL),
    "POST /auth/password/reset": lambda c: c.password.reset(code="c", password="Correct-Horse-7"),
    "POST /auth/password/reset/check-code": lambda c: c.password.check_reset_code(code="c"),
    "POST /auth/otp/send-sign-in-code": lambda c: c.otp.send_sign_in_code(**MAIL),
    "POST /auth/otp/sign-in": lambda c: c.otp.sign_in(code="c"),
    "POST /auth/otp/sign-in/check-code": lambda c: c.otp.check_code(code="c"),
    "POST /auth/mfa/sign-in": lambda c: c.mfa.sign_in(attempt_code="c", totp="123456"),
    "POST /auth/anonymous/sign-up": lambda c: c.anonymous.sign_up(),
    "POST /auth/cli": lambda c: c.cli.start(),
    "POST /auth/cli/poll": lambda c: c.cli.poll("p"),
    "POST /auth/cli/complete": lambda c: c.cli.complete("l", refresh_token="r"),
    "GET /auth/sessions": lambda c: c.sessions.list(),
    "DELETE /auth/sessions/{id}": lambda c: c.sessions.revoke("s"),
    "DELETE /auth/sessions/current": lambda c: c.sessions.sign_out(),
    "POST /auth/sessions/current/refresh": lambda c: c.sessions.refresh("r"),
    "GET /auth/oauth/authorize/{provider_id}": lambda c: c.oauth.authorize("github", **FLOW),
    "POST /auth/oauth/token": lambda c: c.oauth.exchange_code(code="c", redirect_uri="r", code_verifier="v"),
    "POST /auth/oauth/callback/apple/native": lambda c: c.oauth.apple_sign_in(id_token="t"),
    "POST /auth/oauth/cross-domain/authorize": lambda c: c.oauth.cross_domain_authorize(refresh_token="r", **FLOW),
    "POST /auth/passkey/initiate-passkey-registration": lambda c: c.passkey.initiate_registration(),
    "POST /auth/passkey/register": lambda c: c.passkey.register(code="c", credential={}),
    "POST /auth/passkey/initiate-passkey-authentication": lambda c: c.passkey.initiate_authentication(),
    "POST /auth/passkey/sign-in": lambda c: c.passkey.sign_in(code="c", authentication_response={}),
    "GET /users/me": lambda c: c.users.me(),
    "PATCH /users/me": lambda c: c.users.update_me(CurrentUserUpdate(display_name=None)),
    "DELETE /users/me": lambda c: c.users.delete_me(),
    "GET /contact-channels": lambda c: c.contact_channels.list(),
    "POST /contact-channels": lambda c: c.contact_channels.create(
        ContactChannelCreate(value="ada@example.com", used_for_auth=False)
    ),
    "GET /contact-channels/{user_id}/{contact_channel_id}": lambda c: c.contact_channels.get("c"),
    "PATCH /contact-channels/{user_id}/{contact_channel_id}": lambda c: c.contact_channels.update(
        "c", ContactChannelUpdate(value="ada@example.com", is_primary=True)
    ),
    "DELETE /contact-channels/{user_id}/{contact_channel_id}": lambda c: c.contact_channels.delete("c"),
    "POST /contact-channels/{user_id}/{contact_channel_id}/send-verification-code": lambda c: (
        c.contact_channels.send_verification_code("c", callback_url="https://app.example/back")
    ),
    "POST /contact-channels/send-verification-code": lambda c: c.contact_channels.send_primary_verification_code(
        **MAIL
    ),
    "POST /contact-channels/verify": lambda c: c.contact_channels.verify(code="c"),
    "POST /contact-channels/verify/check-code": lambda c: c.contact_channels.check_verification_code(code="c"),
    "GET /teams": lambda c: c.teams.list(),
    "POST /teams": lambda c: c.teams.create(TeamCreate(display_name="Engine")),
    "GET /teams/{team_id}": lambda c: c.teams.get("t"),
    "PATCH /teams/{team_id}": lambda c: c.teams.update("t", TeamUpdate()),
    "DELETE /teams/{team_id}": lambda c: c.teams.delete("t"),
    "DELETE /team-memberships/{team_id}/{user_id}": lambda c: c.team_members.remove("t"),
    "GET /team-member-profiles": lambda c: c.team_members.list("t", user_id="u"),
    "GET /team-member-profiles/{team_id}/{user_id}": lambda c: c.team_members.get("t"),
    "PATCH /team-member-profiles/{team_id}/{user_id}": lambda c: c.team_members.update(
        "t", TeamMemberProfileUpdate(display_name="Ada")
    ),
    "POST /team-invitations/send-code": lambda c: c.team_invitations.send("t", **MAIL),
    "GET /team-invitations": lambda c: c.team_invitations.list("t"),
    "DELETE /team-invitations/{id}": lambda c: c.team_invitations.revoke("i", team_id="t"),
    "POST /team-invitations/accept": lambda c: c.team_invitations.accept(code="c"),
    "POST /team-invitations/accept/details": lambda c: c.team_invitations.details(code="c"),
    "POST /team-invitations/accept/check-code": lambda c: c.team_invitations.check_code(code="c"),
    "POST /team-invitations/{id}/accept": lambda c: c.team_invitations.accept_by_id("i"),
    "GET /team-permissions": lambda c: c.team_permissions.list(team_id="t", permission_id="p", recursive=True),
    "GET /project-permissions": lambda c: c.project_permissions.list(permission_id="p"),
    "GET /user-api-keys": lambda c: c.user_api_keys.list(),
    "POST /user-api-keys": lambda c: c.user_api_keys.create(KEY),
    "GET /user-api-keys/{api_key_id}": lambda c: c.user_api_keys.get("k"),
    "PATCH /user-api-keys/{api_key_id}": lambda c: c.user_api_keys.update("k", ApiKeyUpdate(revoked=True)),
    "GET /team-api-keys": lambda c: c.team_api_keys.list("t"),
    "POST /team-api-keys": lambda c: c.team_api_keys.create(KEY, team_id="t"),
    "GET /team-api-keys/{api_key_id}": lambda c: c.team_api_keys.get("k", team_id="t"),
    "PATCH /team-api-keys/{api_key_id}": lambda c: c.team_api_keys.update("k", ApiKeyUpdate(), team_id="t"),
    "GET /connected-accounts/{user_id}": lambda c: c.connected_accounts.list(),
    "POST /connected-accounts/{user_id}/{provider_id}/access-token": lambda c: c.connected_accounts.access_token(
        "github", scope="repo"
    ),
    "POST /connected-accounts/{user_id}/{provider_id}/{provider_account_id}/access-token": lambda c: (
        c.connected_accounts.access_token("github", provider_account_id="a")
    ),
    "GET /oauth-providers": lambda c: c.oauth_providers.list(),
    "GET /oauth-providers/{user_id}/{provider_id}": lambda c: c.oauth_providers.get("p"),
    "PATCH /oauth-providers/{user_id}/{provider_id}": lambda c: c.oauth_providers.update(
        "p", OAuthProviderUpdate(allow_sign_in=False)
    ),
    "DELETE /oauth-providers/{user_id}/{provider_id}": lambda c: c.oauth_providers.delete("p"),
    "GET /projects/current": lambda c: c.project.current(),
}
"""What a signed-in person's client can do; the app in its own name can do it too."""

SERVERS: dict[str, Act] = {
    "POST /auth/sessions": lambda c: c.sessions.create("u", expires_in=timedelta(hours=1)),
    "GET /users": first_page,
    "POST /users": lambda c: c.users.create(ServerUserCreate(primary_email="ada@example.com")),
    "GET /users/{user_id}": lambda c: c.users.get("u"),
    "PATCH /users/{user_id}": lambda c: c.users.update("u", ServerUserUpdate(server_metadata={"plan": "pro"})),
    "DELETE /users/{user_id}": lambda c: c.users.delete("u"),
    "POST /team-memberships/{team_id}/{user_id}": lambda c: c.team_members.add("t", "u"),
    "POST /team-permissions/{team_id}/{user_id}/{permission_id}": lambda c: c.team_permissions.grant(
        "p", team_id="t", user_id="u"
    ),
    "DELETE /team-permissions/{team_id}/{user_id}/{permission_id}": lambda c: c.team_permissions.revoke(
        "p", team_id="t", user_id="u"
    ),
    "POST /project-permissions/{user_id}/{permission_id}": lambda c: c.project_permissions.grant("p", user_id="u"),
    "DELETE /project-permissions/{user_id}/{permission_id}": lambda c: c.project_permissions.revoke("p", user_id="u"),
    "POST /user-api-keys/check": lambda c: c.user_api_keys.check("k"),
    "POST /team-api-keys/check": lambda c: c.team_api_keys.check("k"),
    "POST /oauth-providers": lambda c: c.oauth_providers.create(ACCOUNT),
}
"""What only the app in its own name can do."""

SERVER_WRITES: dict[str, Act] = {
    "POST /contact-channels": lambda c: c.contact_channels.create(
        ServerContactChannelCreate(value="ada@example.com", used_for_auth=False, is_verified=True)
    ),
    "PATCH /contact-channels/{user_id}/{contact_channel_id}": lambda c: c.contact_channels.update(
        "c", ServerContactChannelUpdate(is_verified=True)
    ),
    "POST /teams": lambda c: c.teams.create(ServerTeamCreate(display_name="Engine", server_metadata=1)),
    "PATCH /teams/{team_id}": lambda c: c.teams.update("t", ServerTeamUpdate(server_metadata=1)),
    "PATCH /oauth-providers/{user_id}/{provider_id}": lambda c: c.oauth_providers.update(
        "p", ServerOAuthProviderUpdate(account_id="other")
    ),
}
"""Operations of persons, with fields that only the app in its own name may write."""


def resource_classes() -> dict[str, type[Resource]]:
    """The class of each resource, by its name."""
    client, members = StackAuthClient(Settings(project_id="any")), vars(StackAuthClient).items()
    return {name: type(getattr(client, name)) for name, value in members if isinstance(value, BoundResource)}


@cache
def contract() -> dict[str, Any]:
    """The contract's operations by method and path below the API's root."""
    operations = json.loads((DATA / "operations.json").read_text())["operations"]
    return {f"{each['method']} {each['path'].removeprefix(API)}": each for each in operations}


@cache
def read_recordings() -> tuple[dict[str, Any], ...]:
    """Every recorded exchange."""
    files = sorted((DATA / "exchanges").glob("*.json"))
    return tuple(exchange for path in files for exchange in json.loads(path.read_text())["exchanges"])


def sample(operation: str, access: str | None = None) -> Any:
    """The fullest recorded success of an operation, as an access type where one is named; None where there is none."""
    wanted = operation.replace(" ", f" {API}", 1)
    bodies = [
        exchange["response"]["body"]
        for exchange in read_recordings()
        if exchange["operation"] == wanted
        and exchange["response"]["status"] < 300
        and access in (None, exchange["request"]["headers"].get("x-stack-access-type"))
    ]
    return max(bodies, key=lambda body: len(json.dumps(body)), default=None)


SIGN_IN = {"access_token": "a.b.c", "refresh_token": "r", "user_id": "u", "is_new_user": True}


def success(operation: str, access: str | None = None) -> Any:
    """What the server answers to an operation: as recorded, else as the contract says (Apple's was not recorded)."""
    found = sample(operation, None if contract()[operation]["access_types"] == ["none"] else access)
    return sample(operation) or SIGN_IN if found is None else found
