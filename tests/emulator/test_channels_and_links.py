"""What belongs to a user: contact channels, provider accounts, and tokens for them."""

from typing import Any

import pytest

from tests.emulator.oauth import code, exchange

from .api import CALLBACK, Api, assert_rejected

NOBODY = "00000000-0000-4000-8000-000000000000"
USED = "OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN"
TAKEN = "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE"


def channel(value: str, **flags: bool) -> dict[str, Any]:
    return {"user_id": "me", "type": "email", "value": value, "used_for_auth": False, **flags}


async def test_a_second_address_can_sign_in_and_take_the_first_place(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    made = (await api.post("/contact-channels", channel("Second@Example.com"), token=token)).json()
    assert (made["value"], made["is_primary"], made["is_verified"]) == ("second@example.com", False, False)
    path = f"/contact-channels/me/{made['id']}"
    assert (await api.patch(path, {"used_for_auth": True, "is_primary": True}, token=token)).json()[
        "is_primary"
    ] is True
    assert (await api.sign_in("second@example.com")).status_code == 200
    items = (await api.get("/contact-channels?user_id=me", token=token)).json()["items"]
    assert [(item["value"], item["is_primary"]) for item in items] == [
        ("ada@example.com", False),
        ("second@example.com", True),
    ]
    changed = (await api.patch(path, {"value": "third@example.com", "type": "email"}, token=token)).json()
    assert (changed["value"], changed["is_verified"]) == ("third@example.com", False)
    assert (await api.get(path, token=token)).json() == changed


async def test_an_address_that_signs_somebody_else_in_stays_theirs(api: Api) -> None:
    await api.sign_up("taken@example.com")
    token = (await api.sign_up())["access_token"]
    details = assert_rejected(
        await api.post("/contact-channels", channel("taken@example.com", used_for_auth=True), token=token), 409, TAKEN
    )
    assert details == {
        "type": "email",
        "contact_channel_value": "taken@example.com",
        "would_work_if_email_was_verified": False,
    }
    made = (await api.post("/contact-channels", channel("taken@example.com"), token=token)).json()
    answer = await api.patch(f"/contact-channels/me/{made['id']}", {"used_for_auth": True}, token=token)
    assert assert_rejected(answer, 409, TAKEN)["contact_channel_value"] is None
    again = await api.post("/contact-channels", channel("taken@example.com"), token=token)
    assert (again.status_code, again.headers["content-type"]) == (400, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "change",
    [{"value": "nope"}, {"type": "phone"}, {"is_verified": True}, {"foo": 1}, {"user_id": "nope"}, {"value": None}],
)
async def test_an_address_of_the_wrong_form_is_refused(api: Api, change: dict[str, Any]) -> None:
    token = (await api.sign_up())["access_token"]
    assert_rejected(
        await api.post("/contact-channels", {**channel("a@example.com"), **change}, token=token), 400, "SCHEMA_ERROR"
    )


async def test_a_bad_value_is_never_stored(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    [own] = (await api.get("/contact-channels?user_id=me", token=token)).json()["items"]
    assert_rejected(
        await api.patch(f"/contact-channels/me/{own['id']}", {"value": "Not An Email"}, token=token),
        400,
        "SCHEMA_ERROR",
    )
    assert (await api.get("/contact-channels?user_id=me", token=token)).json()["items"] == [own]


async def test_a_client_handles_its_own_users_addresses_only(api: Api) -> None:
    mine, other = await api.sign_up(), await api.sign_up("other@example.com")
    [theirs] = (await api.get(f"/contact-channels?user_id={other['user_id']}", access="server")).json()["items"]
    how = {"token": mine["access_token"]}
    path = f"/contact-channels/{other['user_id']}/{theirs['id']}"
    for answer in (
        await api.get(f"/contact-channels?user_id={other['user_id']}", **how), await api.get(path, **how),
        await api.patch(path, {"is_primary": False}, **how), await api.delete(path, **how),
        await api.post("/contact-channels", {**channel("x@example.com"), "user_id": other["user_id"]}, **how),
    ):  # fmt: skip
        assert answer.status_code == 403, answer.text
    disguised = f"/contact-channels/me/{theirs['id']}"
    assert (await api.get(disguised, **how)).status_code == 404
    assert (await api.delete(disguised, **how)).status_code == 400
    assert (await api.post(f"{path}/send-verification-code", {"callback_url": CALLBACK}, **how)).status_code == 400
    assert_rejected(await api.get("/contact-channels?user_id=me"), 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


async def test_a_server_verifies_and_adds_addresses_of_any_user(api: Api) -> None:
    """A server verifies addresses and adds them for anybody who exists."""
    user_id = (await api.sign_up())["user_id"]
    body = {**channel("srv@example.com", is_verified=True, is_primary=True), "user_id": user_id}
    assert (await api.post("/contact-channels", body, access="server")).json()["is_verified"] is True
    assert len((await api.get("/contact-channels", access="server")).json()["items"]) == 2
    assert_rejected(
        await api.post("/contact-channels", {**body, "user_id": NOBODY}, access="server"), 400, "USER_ID_DOES_NOT_EXIST"
    )
    unknown = f"/contact-channels/{NOBODY}/{NOBODY}/send-verification-code"
    assert_rejected(await api.post(unknown, {"callback_url": CALLBACK}, access="server"), 400, "USER_ID_DOES_NOT_EXIST")


def link(user_id: str, **changes: Any) -> dict[str, Any]:
    start = {"user_id": user_id, "provider_config_id": "github", "account_id": "1"}
    return {**start, "allow_sign_in": True, "allow_connected_accounts": True, **changes}


async def test_servers_link_accounts_and_clients_see_no_ids(api: Api) -> None:
    """A server links accounts and a client sees its own without ids."""
    signed_up = await api.sign_up()
    made = await api.post("/oauth-providers", link(signed_up["user_id"], email="hub@example.com"), access="server")
    assert (made.status_code, made.json()["account_id"]) == (201, "1")
    [seen] = (await api.get("/oauth-providers?user_id=me", token=signed_up["access_token"])).json()["items"]
    assert set(made.json()) - set(seen) == {"account_id"}
    path = f"/oauth-providers/me/{seen['id']}"
    assert (await api.get(path, token=signed_up["access_token"])).json() == seen
    off = (await api.patch(path, {"allow_sign_in": False}, token=signed_up["access_token"])).json()
    assert off["allow_sign_in"] is False
    on = (await api.patch(path, {"allow_sign_in": True}, token=signed_up["access_token"])).json()
    assert on["allow_sign_in"] is True
    assert_rejected(await api.patch(path, {"account_id": "2"}, token=signed_up["access_token"]), 400, "SCHEMA_ERROR")
    assert (await api.delete(path, token=signed_up["access_token"])).json() == {"success": True}
    assert (await api.get(path, token=signed_up["access_token"])).status_code == 404


async def test_links_that_clash_are_refused(api: Api) -> None:
    mine, other = (await api.sign_up())["user_id"], (await api.sign_up("other@example.com"))["user_id"]
    create = "/oauth-providers"
    assert (await api.post(create, link(mine), access="server")).status_code == 201
    for changes in ({"account_id": "2"}, {"allow_sign_in": False}, {"provider_config_id": "nope"}):
        answer = await api.post(create, link(mine, **changes), access="server")
        assert answer.status_code == (404 if "provider_config_id" in changes else 400)
        assert "x-stack-known-error" not in answer.headers
    assert_rejected(await api.post(create, link(other), access="server"), 400, USED)
    assert_rejected(await api.post(create, link(NOBODY), access="server"), 404, "USER_NOT_FOUND")
    assert_rejected(await api.post(create, link(mine, email="nope"), access="server"), 400, "SCHEMA_ERROR")
    assert_rejected(await api.post(create, link(mine)), 401, "INSUFFICIENT_ACCESS_TYPE")


async def test_sign_in_is_turned_on_for_one_account_of_a_provider_only(api: Api) -> None:
    mine, other = (await api.sign_up())["user_id"], (await api.sign_up("other@example.com"))["user_id"]
    first = (await api.post("/oauth-providers", link(mine), access="server")).json()
    second = (
        await api.post("/oauth-providers", link(mine, account_id="2", allow_sign_in=False), access="server")
    ).json()
    path, body = f"/oauth-providers/{mine}/{second['id']}", {"allow_sign_in": True}
    answer = await api.patch(path, body, access="server")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    await api.delete(f"/oauth-providers/{mine}/{first['id']}", access="server")
    await api.post("/oauth-providers", link(other, provider_config_id="google", account_id="3"), access="server")
    assert_rejected(
        await api.patch(path, body, access="server"), 400, USED
    )  # without an id, any account counts as the same
    assert (await api.patch(path, {**body, "account_id": "2"}, access="server")).json()["allow_sign_in"] is True


async def test_a_users_accounts_come_in_the_order_of_their_last_change(api: Api) -> None:
    user = await api.sign_up()
    made = link(user["user_id"])
    links = [
        (
            await api.post(
                "/oauth-providers", {**made, "provider_config_id": name, "account_id": name}, access="server"
            )
        ).json()
        for name in ("github", "google")
    ]
    await api.patch(
        f"/oauth-providers/me/{links[0]['id']}", {"allow_connected_accounts": False}, token=user["access_token"]
    )
    assert [one["id"] for one in (await api.me(user["access_token"])).json()["oauth_providers"]] == ["google", "github"]
    listed = (await api.get("/oauth-providers?user_id=me", token=user["access_token"])).json()["items"]
    assert [one["id"] for one in listed] == [one["id"] for one in links]


async def test_a_client_handles_its_own_users_links_only(api: Api) -> None:
    mine, other = await api.sign_up(), await api.sign_up("other@example.com")
    made = (await api.post("/oauth-providers", link(other["user_id"]), access="server")).json()
    path, how = f"/oauth-providers/{other['user_id']}/{made['id']}", {"token": mine["access_token"]}
    for answer in (
        await api.get("/oauth-providers", **how), await api.get(path, **how),
        await api.patch(path, {"allow_sign_in": False}, **how), await api.delete(path, **how),
        await api.get(f"/connected-accounts/{other['user_id']}", **how),
        await api.post(f"/connected-accounts/{other['user_id']}/github/access-token", {}, **how),
    ):  # fmt: skip
        assert answer.status_code == 403, answer.text
    assert (await api.get(f"/oauth-providers/me/{made['id']}", **how)).status_code == 404


async def test_a_connected_account_gives_tokens_for_its_scopes(api: Api) -> None:
    """A connected account gives provider tokens for what was granted."""
    form = {"email": "hub@example.com"}
    token = (await exchange(api, await code(api, form, provider_scope="repo"))).json()["access_token"]
    [account] = (await api.get("/connected-accounts/me", token=token)).json()["items"]
    assert (account["provider"], account["provider_account_id"]) == ("github", "hub@example.com")
    path = "/connected-accounts/me/github/access-token"
    first = await api.post(path, {"scope": "repo"}, token=token)
    assert (first.status_code, set(first.json())) == (201, {"access_token"})
    exact = await api.post("/connected-accounts/me/github/hub@example.com/access-token", {}, token=token)
    assert exact.json() == first.json()
    older = await api.post("/auth/oauth/connected-accounts/github/access-token", {}, token=token)
    assert (older.status_code, older.json()) == (201, first.json())
    assert_rejected(
        await api.post(path, {"scope": "admin"}, token=token), 400, "OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE"
    )
    assert_rejected(await api.post(path, {"foo": 1}, token=token), 400, "SCHEMA_ERROR")
    assert_rejected(
        await api.post("/connected-accounts/me/nope/access-token", {}, token=token),
        400,
        "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED",
    )
    none = "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER"
    assert_rejected(await api.post("/connected-accounts/me/google/access-token", {}, token=token), 400, none)
    assert_rejected(await api.post("/connected-accounts/me/github/x/access-token", {}, token=token), 400, none)


async def test_the_older_provider_token_path_has_its_code(api: Api) -> None:
    """The older way to a provider token has its code in the body only."""
    token = (await api.sign_up())["access_token"]
    answer = await api.post("/auth/oauth/connected-accounts/github/access-token", {}, token=token)
    assert (answer.status_code, answer.json()["code"]) == (400, "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER")
    assert "x-stack-known-error" not in answer.headers


async def test_shared_keys_give_no_provider_tokens_and_no_extra_scope(api: Api) -> None:
    api.emulator.configure(oauth_providers=[{"id": "github", "type": "shared"}])
    token = (await exchange(api, await code(api))).json()["access_token"]
    answer = await api.post("/connected-accounts/me/github/access-token", {}, token=token)
    assert_rejected(answer, 400, "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS")
