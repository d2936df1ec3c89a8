"""The routes beside the auth server's own operations: nothing that a person may ask is forgotten, nor any refusal."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from fastapi_stackauth import ConfigurationError, StackAuth
from fastapi_stackauth.routers import Feature
from tests.routers.callers import GRANTS, PREFIXES
from tests.routers.operations import Route, operations
from tests.support.openapi import inline_references

CONTRACT = json.loads((Path(__file__).parents[1] / "data" / "operations.json").read_text("utf-8"))["operations"]
AREAS = {"contact-channels", "connected-accounts", "oauth-providers", "api-keys"}
TEAM_AREAS = {"teams", "team-memberships", "team-member-profiles", "team-permissions", "team-invitations"}
MEMBER = "{team_id}/{user_id}"
CHANNEL = "/contact-channels/{user_id}/{contact_channel_id}"

ROUTES = {
    "POST /auth/password/sign-up": "password_sign_up",
    "POST /auth/password/sign-in": "password_sign_in",
    "POST /auth/password/set": "password_set",
    "POST /auth/password/update": "password_update",
    "POST /auth/password/send-reset-code": "password_forgot",
    "POST /auth/password/reset": "password_reset",
    "POST /auth/password/reset/check-code": "password_reset_check",
    "POST /auth/otp/send-sign-in-code": "otp_send",
    "POST /auth/otp/sign-in": "otp_sign_in",
    "POST /auth/otp/sign-in/check-code": "otp_check",
    "POST /auth/anonymous/sign-up": "anonymous_sign_up",
    "GET /auth/sessions": "sessions_list",
    "DELETE /auth/sessions/{id}": "sessions_end",
    "DELETE /auth/sessions/current": "sign_out",
    "POST /auth/sessions/current/refresh": "session_refresh",
    "GET /users/me": "me",
    "PATCH /users/me": "me_update",
    "DELETE /users/me": "me_delete",
    "GET /contact-channels": "contact_channels_list",
    "POST /contact-channels": "contact_channels_add",
    f"DELETE {CHANNEL}": "contact_channels_delete",
    f"PATCH {CHANNEL}": "contact_channels_make_primary",
    f"POST {CHANNEL}/send-verification-code": "contact_channels_send_verification",
    "POST /contact-channels/verify": "verify_email",
    "GET /projects/current": "methods",
    "POST /auth/mfa/sign-in": "mfa_sign_in",
    "POST /auth/passkey/initiate-passkey-authentication": "passkey_options",
    "POST /auth/passkey/sign-in": "passkey_sign_in",
    "POST /auth/passkey/initiate-passkey-registration": "passkey_register_options",
    "POST /auth/passkey/register": "passkey_register",
    "GET /connected-accounts/{user_id}": "connected_accounts_list",
    "POST /connected-accounts/{user_id}/{provider_id}/access-token": "connected_accounts_get_token",
    "POST /connected-accounts/{user_id}/{provider_id}/{provider_account_id}/access-token": (
        "connected_accounts_get_token"
    ),
    "DELETE /oauth-providers/{user_id}/{provider_id}": "connected_accounts_delete",
    "GET /user-api-keys": "api_keys_list",
    "POST /user-api-keys": "api_keys_create",
    "PATCH /user-api-keys/{api_key_id}": "api_keys_update",
    "GET /team-api-keys": "team_api_keys_list",
    "POST /team-api-keys": "team_api_keys_create",
    "PATCH /team-api-keys/{api_key_id}": "team_api_keys_update",
    "GET /teams": "teams_list",
    "POST /teams": "teams_create",
    "GET /teams/{team_id}": "teams_get",
    "PATCH /teams/{team_id}": "teams_update",
    "DELETE /teams/{team_id}": "teams_delete",
    f"DELETE /team-memberships/{MEMBER}": "team_members_remove",
    "GET /team-member-profiles": "team_members_list",
    f"GET /team-member-profiles/{MEMBER}": "team_profile_get",
    f"PATCH /team-member-profiles/{MEMBER}": "team_profile_update",
    "GET /team-permissions": "team_permissions_list",
    f"POST /team-permissions/{MEMBER}/{{permission_id}}": "team_permissions_grant",
    f"DELETE /team-permissions/{MEMBER}/{{permission_id}}": "team_permissions_revoke",
    "POST /team-invitations/send-code": "team_invitations_send",
    "GET /team-invitations": "team_invitations_list",
    "DELETE /team-invitations/{id}": "team_invitations_revoke",
    "POST /team-invitations/accept": "invitations_accept",
    "POST /team-invitations/accept/details": "invitations_details",
    "POST /team-invitations/{id}/accept": "invitations_accept_by_id",
}
FLOWS = {
    "GET /auth/oauth/authorize/{provider_id}": {"cookie": "oauth_authorize", "body": "oauth_start"},
    "POST /auth/oauth/token": {"cookie": "oauth_callback", "body": "oauth_finish"},
}
"""What OAuth's own endpoints, which take no access type, become."""
WITHOUT_ROUTE = {
    f"GET {CHANNEL}": "the list has all that one would show",
    "POST /contact-channels/send-verification-code": "the auth server calls it deprecated; there is another way",
    "POST /contact-channels/verify/check-code": "verifying takes nothing but the code: just verify",
    f"POST /team-memberships/{MEMBER}": "only servers add members: users are invited",
    "POST /team-invitations/accept/check-code": "`/invitations/details` checks the code, too",
    "GET /user-api-keys/{api_key_id}": "the list has all that one would show",
    "GET /team-api-keys/{api_key_id}": "the same",
    "GET /oauth-providers": "`GET /me` has the accounts that sign in, `GET /connected-accounts` the others",
    "GET /oauth-providers/{user_id}/{provider_id}": "the same",
    "PATCH /oauth-providers/{user_id}/{provider_id}": "an account is disconnected as a whole",
    "POST /auth/cli": "a command-line app signs in by the auth server's own pages",
    "POST /auth/cli/poll": "the same",
    "POST /auth/cli/complete": "the same",
    "POST /auth/oauth/callback/apple/native": "a native Apple app calls it, with a token that only Apple gives",
    "POST /auth/oauth/cross-domain/authorize": "the vendor's own pages hand a session to another domain with it",
}
SERVERS_OWN = {
    "GET /auth/oauth/callback/{provider_id}": "the provider sends the browser there, not the app",
    "POST /auth/oauth/callback/{provider_id}": "the same",
    "POST /auth/oauth/connected-accounts/{provider_id}/access-token": "it is gone: /connected-accounts has it",
}

EVERYWHERE = {
    "CANNOT_GET_OWN_USER_WITHOUT_USER": "401 user_deleted: the token's user was deleted",
    "USER_NOT_FOUND": "401 user_deleted",
    "USER_ID_DOES_NOT_EXIST": "401 user_deleted",
    "MULTI_FACTOR_AUTHENTICATION_REQUIRED": "403 mfa_required",
    "REDIRECT_URL_NOT_WHITELISTED": "logged, or 502 auth_server_misconfigured: no caller chooses the address",
    "ANONYMOUS_AUTHENTICATION_NOT_ALLOWED": "the client asks for guests to be let in",
    "RESTRICTED_USER_NOT_ALLOWED": "the client asks for restricted users to be let in",
    "ACCESS_TOKEN_EXPIRED": "401 token_expired, found here already",
    "TEAM_PERMISSION_REQUIRED": "403 permission_missing",
    "TEAM_NOT_FOUND": "404 TEAM_MEMBERSHIP_NOT_FOUND: clients are told no more",
    "USER_AUTHENTICATION_REQUIRED": "401 user_deleted",
    "ITEM_QUANTITY_INSUFFICIENT_AMOUNT": "the vendor's own project alone limits the members of teams",
    "SCHEMA_ERROR": "422 request_invalid: what the auth server would find wrong is rejected before it is sent",
}
"""Codes of the auth server that no route shows, and what becomes of them."""
BY_ROUTE = {
    "otp_send": {"USER_EMAIL_ALREADY_EXISTS", "SIGN_UP_NOT_ENABLED"},  # they would tell who has an account
    "sign_out": {"REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"},  # it has ended: that is what was asked for
    "me_update": {"USER_EMAIL_ALREADY_EXISTS"},  # the address is changed at the contact channels
    # No key is named: the user may not manage the team's keys, which is 403 permission_missing.
    "api_keys_list": {"API_KEY_NOT_FOUND"},
    "api_keys_create": {"API_KEY_NOT_FOUND"},
    "team_api_keys_list": {"API_KEY_NOT_FOUND"},
    "team_api_keys_create": {"API_KEY_NOT_FOUND"},
    "session_refresh": {"REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"},  # a browser's session: 401 by our own code
}


def everybodys() -> list[dict[str, Any]]:
    """The operations of these families that a client may ask for; of teams, those for servers as well."""
    return [
        operation
        for operation in CONTRACT
        if ("client" in operation["access_types"] or operation["area"] in TEAM_AREAS)
        and (
            operation["area"] in AREAS | TEAM_AREAS
            or operation["area"].startswith("auth/")
            or operation["path"].endswith(("/users/me", "/projects/current"))
        )
    ]


def operation_name(operation: dict[str, Any]) -> str:
    return f"{operation['method']} {operation['path'].removeprefix('/api/v1')}"


@pytest.fixture
def app() -> FastAPI:
    stack = StackAuth(app_url="https://app.example.com")
    app = FastAPI()
    stack.install(app)
    for delivery, prefix in PREFIXES.items():
        app.include_router(stack.router(delivery=delivery), prefix=prefix)  # type: ignore[arg-type]
        teams = stack.teams_router(delivery=delivery, manage_permissions=GRANTS)  # type: ignore[arg-type]
        app.include_router(teams, prefix=prefix)
        app.include_router(stack.api_keys_router(delivery=delivery), prefix=prefix)  # type: ignore[arg-type]
    return app


def list_routes(app: FastAPI, delivery: str) -> dict[str, Route]:
    return {r.operation_id.removeprefix("token_"): r for r in operations(app, PREFIXES[delivery])}


@pytest.mark.parametrize("delivery", ["cookie", "body"])
def test_every_user_operation_has_a_route_or_a_reason(app: FastAPI, delivery: str):
    """Every operation that a person may ask for has a route or a reason."""
    asked = {operation_name(operation) for operation in everybodys()}
    assert len(asked) >= 40
    assert asked == set(ROUTES) | set(WITHOUT_ROUTE)
    assert set(ROUTES.values()) <= set(list_routes(app, delivery))


def test_every_sign_in_operation_has_a_route_or_a_reason(app: FastAPI):
    """Every operation of sign in that takes no access type has a route or a reason."""
    rest = {operation_name(o) for o in CONTRACT if o["area"].startswith("auth/") and "client" not in o["access_types"]}
    opened = {name for name in rest if name.startswith(("GET /auth/oauth", "POST /auth/oauth"))}
    assert set(FLOWS) | set(SERVERS_OWN) == opened
    for deliveries in FLOWS.values():
        for delivery, route in deliveries.items():
            assert route in list_routes(app, delivery)


@pytest.mark.parametrize("delivery", ["cookie", "body"])
def test_every_error_of_the_contract_is_documented_on_its_route(app: FastAPI, delivery: str):
    routes = list_routes(app, delivery)
    for operation in everybodys():
        name = ROUTES.get(operation_name(operation))
        if name is None:
            continue
        codes = {error["code"] for error in operation["errors"] if "code" in error}
        missing = codes - set(EVERYWHERE) - BY_ROUTE.get(name, set()) - routes[name].codes
        assert not missing, name


def test_both_routers_give_own_names_and_a_valid_schema(app: FastAPI):
    """Both routers in one app have names of their own and a valid schema."""
    schema = app.openapi()
    validate(schema)
    names = [operation["operationId"] for methods in schema["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))
    cookie, body = (set(list_routes(app, delivery)) for delivery in ("cookie", "body"))
    assert cookie - body == {"magic_link_confirm", "oauth_authorize", "oauth_callback"}
    assert body - cookie == {"oauth_start", "oauth_finish", "password_grant"}


@pytest.mark.parametrize("delivery", ["cookie", "body"])
def test_every_example_of_an_answer_has_its_status_and_code(app: FastAPI, delivery: str):
    for path, methods in inline_references(app.openapi())["paths"].items():
        for operation in methods.values() if path.startswith(PREFIXES[delivery]) else ():
            for status, answer in operation["responses"].items():
                for code, example in (
                    answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).items()
                ):
                    assert (str(example["value"]["status"]), example["value"]["code"]) == (status, code)


def has_example(schema: dict[str, Any], content: dict[str, Any]) -> bool:
    """Whether an answer or a body has an example, as a whole or in each of its fields."""
    if "example" in content:
        return True
    model = content["schema"]
    if "$ref" in model:
        model = schema["components"]["schemas"][model["$ref"].rpartition("/")[2]]
    fields = model.get("properties", {})
    return bool(fields) and all(
        "examples" in field or "const" in field or "default" in field for field in fields.values()
    )


@pytest.mark.parametrize("delivery", ["cookie", "body"])
def test_every_body_and_every_success_has_an_example(app: FastAPI, delivery: str):
    schema, without = inline_references(app.openapi()), []
    for path, methods in schema["paths"].items():
        for operation in methods.values() if path.startswith(PREFIXES[delivery]) else ():
            told = [operation.get("requestBody", {})]
            told += [answer for status, answer in operation["responses"].items() if status < "300"]
            contents = [
                content for each in told for kind, content in each.get("content", {}).items() if "html" not in kind
            ]
            without += [operation["operationId"] for content in contents if not has_example(schema, content)]
    assert without == []


@pytest.mark.parametrize("delivery", ["cookie", "body"])
def test_no_description_is_indented_so_that_it_reads_as_code(app: FastAPI, delivery: str):
    for path, methods in app.openapi()["paths"].items():
        for operation in methods.values() if path.startswith(PREFIXES[delivery]) else ():
            assert "\n    " not in operation["description"], operation["operationId"]


ALWAYS = {"methods", "session_refresh", "sign_out"}


def names_with(delivery: str, **options: Any) -> set[str]:
    """The operations of a router that was built with these options."""
    app, stack = FastAPI(), StackAuth(app_url="https://app.example.com")
    stack.install(app)
    app.include_router(stack.router(delivery=delivery, **options), prefix=PREFIXES[delivery])  # type: ignore[arg-type]
    return set(list_routes(app, delivery))


@pytest.mark.parametrize("delivery", ["cookie", "body"])
def test_include_mounts_the_named_features_and_no_others(delivery: str):
    """Together the features are the whole router; refresh, sign-out and the list of methods are always there."""
    by_feature = {name: names_with(delivery, include=[name]) - ALWAYS for name in get_args(Feature)}
    assert all(by_feature.values())
    assert set().union(*by_feature.values(), ALWAYS) == names_with(delivery)
    assert names_with(delivery, include=[]) == ALWAYS
    assert by_feature["sign_up"] == {"password_sign_up", "verify_email", "verify_email_page"}
    assert by_feature["sessions"] == {"sessions_list", "sessions_end", "sessions_end_others"}
    assert by_feature["account"] == {"me", "me_update"}
    assert by_feature["account_deletion"] == {"me_delete"}


@pytest.mark.parametrize("delivery", ["cookie", "body"])
def test_exclude_mounts_all_but_the_named_features(delivery: str):
    """The page that an email of a sign-up leads to stays while anything needs it."""
    everything = names_with(delivery)
    assert everything - names_with(delivery, exclude=["sign_up"]) == {"password_sign_up"}
    assert everything - names_with(delivery, exclude=["account_deletion", "sessions"]) == {
        "me_delete", "sessions_list", "sessions_end", "sessions_end_others",
    }  # fmt: skip
    left = names_with(delivery, exclude=["contact_channels"])
    assert "verify_email" in left
    assert "contact_channels_list" not in left


@pytest.mark.parametrize("options", [{"include": ["sms"]}, {"exclude": ["sms"]}, {"pages": {"sign_in": "/x"}},
                                     {"delivery": "header"}, {"oauth_scopes": {"github": ["repo"]}}])  # fmt: skip
def test_an_unknown_feature_page_or_delivery_raises(options: dict[str, Any]):
    """The message names the argument."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        StackAuth().router(**options)
