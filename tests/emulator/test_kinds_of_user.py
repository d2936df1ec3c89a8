"""Anonymous and restricted users: what their tokens say, what they may do, and how they become full users."""

import asyncio

import pytest

from fastapi_stackauth.emulator import keys

from .api import CALLBACK, PASSWORD, Api, assert_rejected

ALLOWED = {"allow_anonymous_user": "true"}


async def anonymous(api: Api) -> dict[str, str]:
    """Sign somebody up whom nobody knows."""
    answer = await api.post("/auth/anonymous/sign-up")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def kind(token: str, project_id: str) -> str:
    """Return the kind of user that issuer and audience agree on."""
    claims = keys.read_json(token.split(".")[1])
    path = claims["iss"].removeprefix("http://localhost:8102/api/v1/").removesuffix(f"/{project_id}")
    return f"{path} {claims['aud'].removeprefix(project_id)} {claims['is_anonymous']} {claims['is_restricted']}"


async def test_an_anonymous_token_needs_permission(api: Api) -> None:
    """An anonymous token is of its own kind and needs to be allowed."""
    token = (await anonymous(api))["access_token"]
    assert kind(token, api.emulator.project_id) == "projects-anonymous-users :anon True True"
    for how in ({}, {"allow_restricted_user": "true"}, {"allow_anonymous_user": "TRUE"}):
        assert_rejected(await api.me(token, **how), 401, "ANONYMOUS_AUTHENTICATION_NOT_ALLOWED")
    me = (await api.me(token, **ALLOWED)).json()
    assert (me["is_anonymous"], me["restricted_reason"]) == (True, {"type": "anonymous"})


async def test_anonymous_users_sign_up_even_where_nobody_else_does(api: Api) -> None:
    api.emulator.configure(sign_up_enabled=False, credential_enabled=False)
    assert (await anonymous(api))["user_id"]


async def test_an_anonymous_user_becomes_a_full_one_with_a_password(api: Api) -> None:
    before = await anonymous(api)
    body = {"email": "ada@example.com", "password": PASSWORD}
    how = {"token": before["access_token"], **ALLOWED}
    after = (await api.post("/auth/password/sign-up", body, **how)).json()
    assert after["user_id"] == before["user_id"]
    assert kind(after["access_token"], api.emulator.project_id) == "projects  False False"
    assert_rejected(await api.refresh(before["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    another = {"email": "again@example.com", "password": PASSWORD}
    assert (await api.post("/auth/password/sign-up", another, **how)).json()["user_id"] != before["user_id"]


async def test_an_anonymous_user_becomes_a_full_one_by_a_mailed_code(api: Api) -> None:
    before = await anonymous(api)
    how = {"token": before["access_token"], **ALLOWED}
    await api.post("/auth/otp/send-sign-in-code", {"email": "ada@example.com", "callback_url": CALLBACK}, **how)
    after = (await api.post("/auth/otp/sign-in", {"code": api.emails()[0]["code"]}, **how)).json()
    assert (after["user_id"], after["is_new_user"]) == (before["user_id"], True)


async def test_a_taken_address_leaves_the_anonymous_user_as_they_were(api: Api) -> None:
    await api.sign_up()
    before = await anonymous(api)
    how = {"token": before["access_token"], **ALLOWED}
    body = {"email": "ada@example.com", "password": PASSWORD}
    assert_rejected(await api.post("/auth/password/sign-up", body, **how), 409, "USER_EMAIL_ALREADY_EXISTS")
    assert (await api.me(before["access_token"], **ALLOWED)).json()["is_anonymous"] is True
    assert (await api.refresh(before["refresh_token"])).status_code == 200


async def test_two_upgrades_at_once_make_one_of_the_anonymous_user(api: Api) -> None:
    before = await anonymous(api)
    how = {"token": before["access_token"], **ALLOWED}
    bodies = [{"email": f"ada{number}@example.com", "password": PASSWORD} for number in range(4)]
    answers = await asyncio.gather(*(api.post("/auth/password/sign-up", body, **how) for body in bodies))
    ids = [answer.json()["user_id"] for answer in answers]
    assert ids.count(before["user_id"]) == 1
    assert len(set(ids)) == 4


async def test_an_unverified_user_is_restricted(api: Api) -> None:
    """An unverified user is restricted until the address is confirmed."""
    api.emulator.configure(require_email_verification=True)
    body = {"email": "ada@example.com", "password": PASSWORD, "verification_callback_url": CALLBACK}
    signed_up = (await api.post("/auth/password/sign-up", body)).json()
    token = signed_up["access_token"]
    assert kind(token, api.emulator.project_id) == "projects-restricted-users :restricted False True"
    details = assert_rejected(await api.me(token), 403, "RESTRICTED_USER_NOT_ALLOWED")
    assert details == {"restricted_reason": {"type": "email_not_verified"}}
    for how in ({"allow_restricted_user": "true"}, ALLOWED):
        assert (await api.me(token, **how)).status_code == 200
    await api.post("/contact-channels/verify", {"code": api.emails()[0]["code"]})
    assert_rejected(await api.me(token), 403, "RESTRICTED_USER_NOT_ALLOWED")
    fresh = (await api.refresh(signed_up["refresh_token"])).json()["access_token"]
    assert kind(fresh, api.emulator.project_id) == "projects  False False"
    assert (await api.me(fresh)).status_code == 200


async def test_an_administrator_can_restrict_and_free_a_user(api: Api) -> None:
    signed_up = await api.sign_up()
    path = f"/users/{signed_up['user_id']}"
    changes = {
        "restricted_by_admin": True,
        "restricted_by_admin_reason": "loud",
        "restricted_by_admin_private_details": "7",
    }
    assert (await api.patch(path, changes, access="server")).json()["is_restricted"] is True
    assert (await api.me(signed_up["access_token"])).json()["restricted_by_admin_reason"] == "loud"
    token = (await api.refresh(signed_up["refresh_token"])).json()["access_token"]
    details = assert_rejected(await api.me(token), 403, "RESTRICTED_USER_NOT_ALLOWED")
    assert details == {"restricted_reason": {"type": "restricted_by_administrator"}}
    freed = (await api.patch(path, {"restricted_by_admin": False}, access="server")).json()
    assert (freed["restricted_by_admin_reason"], freed["restricted_by_admin_private_details"]) == (None, None)
    alone = await api.patch(path, {"restricted_by_admin_reason": "x"}, access="server")
    assert_rejected(alone, 400, "SCHEMA_ERROR")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"ada"}),
        ("?include_restricted=true", {"ada", "res"}),
        ("?include_anonymous=true", {"ada", "res", None}),
        ("?include_anonymous=true&only_anonymous=true", {None}),
    ],
)
async def test_lists_hide_anonymous_and_restricted_users_unless_asked(
    api: Api, query: str, names: set[str | None]
) -> None:
    await api.sign_up("ada@example.com")
    restricted = await api.sign_up("res@example.com")
    await api.patch(f"/users/{restricted['user_id']}", {"restricted_by_admin": True}, access="server")
    await anonymous(api)
    items = (await api.get(f"/users{query}", access="server")).json()["items"]
    found = {item["primary_email"] and item["primary_email"].split("@")[0] for item in items}
    assert found == names
