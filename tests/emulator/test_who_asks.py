"""What a client without a user gets, and what is said about users and teams that do not exist."""

from typing import Any

import pytest

from .api import PASSWORD, Api, assert_rejected

NOBODY = "00000000-0000-4000-8000-000000000000"
SERVER = {"access": "server"}
OWN = [
    ("GET", "/auth/sessions?user_id={user}", None),
    ("GET", "/contact-channels?user_id={user}", None),
    ("GET", "/contact-channels", None),
    ("GET", "/contact-channels/{user}/{id}", None),
    (
        "POST",
        "/contact-channels",
        {"user_id": "{user}", "value": "a@b.example", "type": "email", "used_for_auth": False},
    ),
    ("POST", "/contact-channels/{user}/{id}/send-verification-code", {"callback_url": "http://localhost:3000/"}),
    ("GET", "/oauth-providers?user_id={user}", None),
    ("GET", "/oauth-providers", None),
    ("GET", "/oauth-providers/{user}/{id}", None),
    ("PATCH", "/oauth-providers/{user}/{id}", {"allow_sign_in": False}),
    ("GET", "/connected-accounts/{user}", None),
    ("POST", "/connected-accounts/{user}/github/access-token", {}),
    ("GET", "/team-permissions?user_id={user}", None),
    ("GET", "/team-permissions", None),
    ("GET", "/project-permissions?user_id={user}", None),
    ("GET", "/project-permissions", None),
    ("GET", "/teams?user_id={user}", None),
    ("GET", "/teams", None),
    ("PATCH", "/team-member-profiles/{id}/{user}", {"display_name": "x"}),
]


def fill_in(value: Any, user: str) -> Any:
    """Return a path or body with a user's id in it."""
    if isinstance(value, dict):
        return {name: fill_in(item, user) for name, item in value.items()}
    return value.replace("{user}", user).replace("{id}", NOBODY) if isinstance(value, str) else value


@pytest.mark.parametrize(("method", "path", "body"), OWN, ids=[f"{method} {path}" for method, path, _ in OWN])
async def test_a_client_without_a_user_has_no_own_user(
    api: Api, method: str, path: str, body: dict[str, Any] | None
) -> None:
    signed_up = await api.sign_up()
    path, body = fill_in(path, signed_up["user_id"]), fill_in(body, signed_up["user_id"])
    assert_rejected(await api.call(method, path, body), 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    await api.delete(f"/users/{signed_up['user_id']}", **SERVER)
    answer = await api.call(method, path, body, token=signed_up["access_token"])
    assert_rejected(answer, 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


async def test_lists_of_an_unknown_user_are_empty(api: Api) -> None:
    for path in ("/team-member-profiles", "/team-invitations", "/contact-channels", "/auth/sessions"):
        answer = await api.get(f"{path}?user_id={NOBODY}", **SERVER)
        assert (answer.status_code, answer.json()["items"]) == (200, []), path


@pytest.mark.parametrize("body", [None, {"display_name": "x"}], ids=["GET", "PATCH"])
async def test_the_profile_of_an_unknown_user_is_not_found(api: Api, body: dict[str, str] | None) -> None:
    method = "PATCH" if body else "GET"
    team = (await api.post("/teams", {"display_name": "Red"}, **SERVER)).json()["id"]
    user = (await api.sign_up())["user_id"]
    for team_id, user_id, code in (
        (team, NOBODY, "USER_NOT_FOUND"), (NOBODY, NOBODY, "USER_NOT_FOUND"),
        (team, user, "TEAM_MEMBERSHIP_NOT_FOUND"), (NOBODY, user, "TEAM_MEMBERSHIP_NOT_FOUND"),
    ):  # fmt: skip
        assert_rejected(await api.call(method, f"/team-member-profiles/{team_id}/{user_id}", body, **SERVER), 404, code)


async def test_a_key_for_no_team_needs_a_user_first(api: Api) -> None:
    body = {"description": "k", "expires_at_millis": None, "team_id": "no team"}
    assert_rejected(await api.post("/team-api-keys", body), 401, "USER_AUTHENTICATION_REQUIRED")
    assert_rejected(
        await api.post("/team-api-keys", body, token=(await api.sign_up())["access_token"]), 404, "API_KEY_NOT_FOUND"
    )
    assert_rejected(await api.post("/team-api-keys", body, **SERVER), 404, "TEAM_NOT_FOUND")


@pytest.mark.parametrize("is_verified", [True, False])
@pytest.mark.parametrize("how", [{}, SERVER])
async def test_a_verified_address_stays_so_as_primary(api: Api, is_verified: bool, how: dict[str, str]) -> None:
    """A verified address stays verified when it becomes primary."""
    api.emulator.configure(require_email_verification=True)
    first = {"primary_email": "ada@example.com", "primary_email_verified": True, "primary_email_auth_enabled": True}
    user = (await api.post("/users", {**first, "password": PASSWORD}, **SERVER)).json()
    token = api.emulator.issue_token(user_id=user["id"])["access_token"]
    other = {"user_id": user["id"], "value": "b@example.com", "type": "email", "used_for_auth": False}
    await api.post("/contact-channels", {**other, "is_verified": is_verified}, **SERVER)
    changed = (await api.patch("/users/me", {"primary_email": "B@example.com"}, token=token, **how)).json()
    assert (changed["primary_email"], changed["primary_email_verified"]) == ("b@example.com", is_verified)
    assert changed["is_restricted"] is not is_verified
