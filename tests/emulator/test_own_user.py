"""The signed-in user reads, changes and deletes themselves."""

from typing import Any

import pytest

from .api import PASSWORD, Api, assert_rejected


async def test_a_client_sees_less_than_the_server(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    client, server = (await api.me(token)).json(), (await api.me(token, access="server")).json()
    hidden = {
        "server_metadata", "last_active_at_millis", "primary_email_auth_enabled", "country_code", "risk_scores",
        "restricted_by_admin_private_details",
    }  # fmt: skip
    assert set(server) - set(client) == hidden
    assert server["primary_email_auth_enabled"] is True


async def test_without_a_user_there_is_no_me(api: Api) -> None:
    assert_rejected(await api.get("/users/me"), 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert_rejected(await api.get("/users/me", access="server"), 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


async def test_changes_show_at_once_and_in_the_next_token(api: Api) -> None:
    signed_up = await api.sign_up()
    changes = {"display_name": "Ada", "client_metadata": {"a": [1, None]}}
    changed = (await api.patch("/users/me", changes, token=signed_up["access_token"])).json()
    assert {name: changed[name] for name in changes} == changes
    token = (await api.refresh(signed_up["refresh_token"])).json()["access_token"]
    assert (await api.me(token)).json()["display_name"] == "Ada"
    emptied = await api.patch("/users/me", {"display_name": "", "client_metadata": None}, token=token)
    assert (emptied.json()["display_name"], emptied.json()["client_metadata"]) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"display_name": "x" * 257}, {"display_name": ["x"]}, {"foo": 1}, {"password": "Another-1"},
        {"client_read_only_metadata": {}}, {"server_metadata": {}}, {"primary_email": "nope"},
        {"primary_email_verified": True}, {"restricted_by_admin": False}, {"is_anonymous": False},
        {"totp_secret_base64": "!"}, {"selected_team_id": "nope"}, {"profile_image_url": "not a url"},
    ],
)  # fmt: skip
async def test_a_client_writes_its_own_fields_only(api: Api, changes: dict[str, Any]) -> None:
    token = (await api.sign_up())["access_token"]
    assert_rejected(await api.patch("/users/me", changes, token=token), 400, "SCHEMA_ERROR")


async def test_some_fields_are_refused_in_words(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    api.emulator.configure(magic_link_enabled=False)
    for changes in (
        {"profile_image_url": "https://example.com/a.png"},
        {"passkey_auth_enabled": True},
        {"otp_auth_enabled": True},
    ):
        answer = await api.patch("/users/me", changes, token=token)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    team = {"selected_team_id": "00000000-0000-4000-8000-000000000000"}
    assert_rejected(await api.patch("/users/me", team, token=token), 404, "TEAM_MEMBERSHIP_NOT_FOUND")


async def test_a_new_address_is_unverified_and_signs_in(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    await api.sign_up("taken@example.com")
    changed = (await api.patch("/users/me", {"primary_email": "New@Example.com"}, token=token)).json()
    assert (changed["primary_email"], changed["primary_email_verified"]) == ("new@example.com", False)
    assert (await api.sign_in("new@example.com")).status_code == 200
    assert (await api.sign_in("ada@example.com")).status_code == 200
    taken = {"primary_email": "taken@example.com", "display_name": "never"}
    assert_rejected(await api.patch("/users/me", taken, token=token), 409, "USER_EMAIL_ALREADY_EXISTS")
    unchanged = (await api.me(token)).json()
    assert (unchanged["primary_email"], unchanged["display_name"]) == ("new@example.com", None)


async def test_without_a_primary_address_none_is_verified(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    changed = (await api.patch("/users/me", {"primary_email": None}, token=token, access="server")).json()
    assert changed["primary_email"] is None
    assert not changed["primary_email_verified"]
    assert not changed["primary_email_auth_enabled"]


async def test_a_servers_new_password_ends_every_session(api: Api) -> None:
    """A server writes more and a new password ends every session."""
    signed_up = await api.sign_up()
    how = {"token": signed_up["access_token"], "access": "server"}
    changes = {"server_metadata": {"a": 1}, "client_read_only_metadata": {"plan": "pro"}, "country_code": "DE"}
    changed = (await api.patch("/users/me", changes, **how)).json()
    assert {name: changed[name] for name in changes} == changes
    await api.patch("/users/me", {"password": "Another-Horse-8"}, **how)
    assert_rejected(await api.refresh(signed_up["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert (await api.sign_in(password="Another-Horse-8")).status_code == 200


async def test_users_delete_themselves_only_where_they_may(api: Api) -> None:
    signed_up = await api.sign_up()
    how = {"token": signed_up["access_token"]}
    api.emulator.configure(client_user_deletion_enabled=False)
    assert (await api.delete("/users/me", **how)).status_code == 400
    api.emulator.configure(client_user_deletion_enabled=True)
    assert (await api.delete("/users/me", **how)).json() == {"success": True}
    assert_rejected(await api.delete("/users/me", **how), 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert_rejected(await api.me(signed_up["access_token"]), 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert_rejected(await api.refresh(signed_up["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert (await api.sign_up(password=PASSWORD))["user_id"] != signed_up["user_id"]
