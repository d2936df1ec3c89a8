"""Users as the project's own server manages them: making, listing, changing, deleting."""

from typing import Any

import pytest

from .api import PASSWORD, Api, assert_rejected

BCRYPT = "$2a$04$YbYfwsMr5/E9F5E598xE0e5ag9z2FpyGf5bF2mgOzHpidx9vh0O12"  # of Correct-Horse-7
NOBODY = "00000000-0000-4000-8000-000000000000"
SERVER = {"access": "server"}


async def create(api: Api, **fields: Any) -> dict[str, Any]:
    """Make a user."""
    answer = await api.post("/users", fields, **SERVER)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_server_creates_users_with_sign_up_disabled(api: Api) -> None:
    """A server makes users whatever the project says about sign up."""
    api.emulator.configure(sign_up_enabled=False)
    fields = {
        "primary_email": "Ada@Example.com", "primary_email_verified": True, "primary_email_auth_enabled": True,
        "password": "x", "display_name": "Ada", "server_metadata": {"a": 1}, "country_code": "DE",
        "risk_scores": {"sign_up": {"bot": 5, "free_trial_abuse": 7}},
    }  # fmt: skip
    user = await create(api, **fields)
    assert (user["primary_email"], user["has_password"]) == ("ada@example.com", True)
    assert (user["risk_scores"], user["server_metadata"]) == (fields["risk_scores"], {"a": 1})
    assert (await api.sign_in(password="x")).json()["user_id"] == user["id"]


async def test_an_empty_body_makes_an_empty_user(api: Api) -> None:
    user = await create(api)
    assert (user["primary_email"], user["display_name"], user["primary_email_auth_enabled"]) == (None, None, False)


async def test_a_bcrypt_hash_brought_along_signs_in(api: Api) -> None:
    await create(api, primary_email="ada@example.com", primary_email_auth_enabled=True, password_hash=BCRYPT)
    assert (await api.sign_in()).status_code == 200
    assert_rejected(await api.sign_in(password="wrong"), 400, "EMAIL_PASSWORD_MISMATCH")


@pytest.mark.parametrize(
    "fields",
    [
        {"foo": 1}, {"primary_email": "nope"}, {"primary_email": ""}, {"country_code": "Germany"},
        {"restricted_by_admin_reason": "x"}, {"restricted_by_admin": False, "restricted_by_admin_private_details": "x"},
        {"risk_scores": {}}, {"risk_scores": {"sign_up": {"bot": 101, "free_trial_abuse": 0}}},
        {"password": "x" * 71}, {"selected_team_id": NOBODY}, {"oauth_providers": [{"id": "github"}]},
    ],
)  # fmt: skip
async def test_a_user_of_the_wrong_form_is_refused(api: Api, fields: dict[str, Any]) -> None:
    assert_rejected(await api.post("/users", fields, **SERVER), 400, "SCHEMA_ERROR")


@pytest.mark.parametrize(
    "fields",
    [
        {"primary_email_verified": True}, {"primary_email_auth_enabled": True},
        {"password": PASSWORD, "password_hash": BCRYPT}, {"password_hash": "md5"},
        {"oauth_providers": [{"id": "nope", "account_id": "1", "email": None}]}, {"passkey_auth_enabled": True},
    ],
)  # fmt: skip
async def test_what_contradicts_itself_is_refused_in_words(api: Api, fields: dict[str, Any]) -> None:
    answer = await api.post("/users", fields, **SERVER)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")


async def test_a_switched_off_method_cannot_be_given(api: Api) -> None:
    api.emulator.configure(credential_enabled=False, magic_link_enabled=False)
    assert (await api.post("/users", {"password": PASSWORD}, **SERVER)).status_code == 400
    assert (await api.post("/users", {"otp_auth_enabled": True}, **SERVER)).status_code == 400


async def test_an_address_signs_in_one_user_and_may_have_several(api: Api) -> None:
    """An address signs in one user but may be known for several."""
    fields = {"primary_email": "ada@example.com", "primary_email_auth_enabled": True}
    first = await create(api, **fields)
    details = assert_rejected(await api.post("/users", fields, **SERVER), 409, "USER_EMAIL_ALREADY_EXISTS")
    assert details["email"] == "ada@example.com"
    second = await create(api, primary_email="ada@example.com")
    taken = {"primary_email_auth_enabled": True}
    assert_rejected(await api.patch(f"/users/{second['id']}", taken, **SERVER), 409, "USER_EMAIL_ALREADY_EXISTS")
    assert first["id"] != second["id"]


async def test_a_user_is_read_changed_and_deleted_by_id(api: Api) -> None:
    user = await create(api, primary_email="ada@example.com")
    path = f"/users/{user['id']}"
    assert (await api.get(f"/users/{user['id'].upper()}", **SERVER)).json() == user
    changed = (
        await api.patch(path, {"primary_email": "new@example.com", "primary_email_verified": True}, **SERVER)
    ).json()
    assert (changed["primary_email"], changed["primary_email_verified"]) == ("new@example.com", True)
    assert (await api.delete(path, **SERVER)).json() == {"success": True}
    assert_rejected(await api.get(path, **SERVER), 404, "USER_NOT_FOUND")
    assert_rejected(await api.delete(path, **SERVER), 404, "USER_NOT_FOUND")
    assert_rejected(await api.patch(path, {}, **SERVER), 404, "USER_NOT_FOUND")


async def test_ids_are_uuids_or_me(api: Api) -> None:
    assert_rejected(await api.get("/users/nope", **SERVER), 400, "SCHEMA_ERROR")
    signed_up = await api.sign_up()
    listed = await api.get(f"/auth/sessions?user_id={signed_up['user_id'].upper()}", token=signed_up["access_token"])
    assert len(listed.json()["items"]) == 1


async def test_a_password_needs_an_address_when_it_is_changed(api: Api) -> None:
    user = await create(api)
    assert (await api.patch(f"/users/{user['id']}", {"password": PASSWORD}, **SERVER)).status_code == 400
    unchanged = (await api.get(f"/users/{user['id']}", **SERVER)).json()
    assert unchanged["has_password"] is False


async def test_lists_come_in_pages_in_order_of_sign_up(api: Api) -> None:
    made = []
    for number in range(5):
        made.append((await create(api, primary_email=f"user{number}@example.com", display_name=f"N{number}"))["id"])
        api.emulator.clock.advance(1)
    ids: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get(f"/users?limit=2{cursor and '&cursor=' + cursor}", **SERVER)).json()
        ids += [item["id"] for item in page["items"]]
        cursor = page["pagination"]["next_cursor"]
    assert ids == made
    everyone = (await api.get("/users?desc=true", **SERVER)).json()["items"]
    assert [item["id"] for item in everyone] == made[::-1]
    for query in ("n3", "USER3@", made[3]):
        found = (await api.get(f"/users?query={query}", **SERVER)).json()["items"]
        assert [item["id"] for item in found] == [made[3]]
    assert (await api.get(f"/users?cursor={NOBODY}", **SERVER)).json()["items"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=ten", "cursor=nope", "include_anonymous=1", "foo=1", "team_id=x", "order_by=x"]
)
async def test_a_list_asked_for_wrongly_is_refused(api: Api, query: str) -> None:
    assert_rejected(await api.get(f"/users?{query}", **SERVER), 400, "SCHEMA_ERROR")
    assert (await api.get("/users?only_anonymous=true", **SERVER)).status_code == 400


async def test_users_of_another_project_are_not_there(api: Api) -> None:
    user = await create(api, primary_email="ada@example.com", primary_email_auth_enabled=True)
    other = api.emulator.store.projects.create({})
    headers = {
        "x-stack-access-type": "server",
        "x-stack-project-id": other.id,
        "x-stack-secret-server-key": other.secret_server_key,
    }
    assert_rejected(await api.http.get(f"/api/v1/users/{user['id']}", headers=headers), 404, "USER_NOT_FOUND")
    same = {"primary_email": "ada@example.com", "primary_email_auth_enabled": True}
    assert (await api.http.post("/api/v1/users", json=same, headers=headers)).status_code == 201
