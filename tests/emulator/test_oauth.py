"""OAuth: the app sends somebody to the mock provider, and gets a code, a refusal or a linked account."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.emulator.oauth import authorize, code, exchange, provide, return_from_provider

from .api import Api, assert_rejected


def find_error(answer: httpx.Response) -> str:
    """Return the code that an error redirect carries."""
    assert answer.status_code == 307, answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["error"] == ["server_error"]
    assert "state" not in query
    return query["errorCode"][0]


async def test_a_provider_signs_a_new_user_in_and_a_known_one_again(api: Api) -> None:
    first = (await exchange(api, await code(api))).json()
    assert (first["token_type"], first["scope"], first["is_new_user"], first["newUser"]) == (
        "Bearer",
        "legacy",
        True,
        True,
    )
    me = (await api.me(first["access_token"])).json()
    assert me["oauth_providers"] == [{"id": "github", "account_id": "ada@example.com", "email": "ada@example.com"}]
    assert (me["primary_email"], me["primary_email_verified"], me["has_password"]) == ("ada@example.com", True, False)
    again = (await exchange(api, await code(api))).json()
    assert again["is_new_user"] is False
    assert (await api.me(again["access_token"])).json()["id"] == me["id"]


async def test_in_redirect_mode_a_cookie_binds_the_browser(api: Api) -> None:
    started = await authorize(api, stack_response_mode=None)
    assert started.status_code == 307
    cookie = started.headers["set-cookie"]
    assert cookie.startswith("stack-oauth-inner-")
    assert all(part in cookie for part in ("=true", "HttpOnly", "Max-Age=600", "Path=/"))
    assert "Secure" not in cookie
    jar = dict(api.http.cookies)
    back = await provide(api, started.headers["location"])
    api.http.cookies.clear()
    without = await api.http.get(back)
    assert (without.status_code, without.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    with_it = await api.http.get(back, headers={"cookie": "; ".join(f"{name}={value}" for name, value in jar.items())})
    assert with_it.status_code == 303
    deleted = f"{cookie.partition('=')[0]}=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert with_it.headers["set-cookie"] == without.headers["set-cookie"] == deleted
    replayed = await api.http.get(back, headers={"cookie": cookie.partition(";")[0]})
    assert (replayed.status_code, replayed.headers["set-cookie"]) == (400, deleted)
    assert (await api.http.get(back)).headers["set-cookie"] == deleted


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_id": "nope"}, 400, "INVALID_OAUTH_CLIENT_ID_OR_SECRET"),
        ({"client_secret": "pck_wrong"}, 401, "INVALID_PUBLISHABLE_CLIENT_KEY"),
        ({"client_secret": None}, 400, "SCHEMA_ERROR"),
        ({"state": None}, 400, "SCHEMA_ERROR"),
        ({"redirect_uri": "nope"}, 400, "SCHEMA_ERROR"),
        ({"type": "other"}, 400, "SCHEMA_ERROR"),
        ({"provider": "nope"}, 400, "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"),
        ({"after_callback_redirect_url": "https://evil.example/"}, 400, "REDIRECT_URL_NOT_WHITELISTED"),
        ({"type": "link", "token": "junk"}, 401, "UNPARSABLE_ACCESS_TOKEN"),
        ({"bot_challenge_phase": "invisible"}, 409, "BOT_CHALLENGE_REQUIRED"),
    ],
)
async def test_a_flow_that_cannot_start_is_refused_at_once(
    api: Api, changes: dict[str, Any], status: int, error: str
) -> None:
    assert_rejected(await authorize(api, **changes), status, error)


async def test_linking_needs_a_token_and_unknown_fields_do_not_matter(api: Api) -> None:
    assert (await authorize(api, type="link")).status_code == 400
    assert (await authorize(api, something="else")).status_code == 200
    api.emulator.configure(require_publishable_client_key=True)
    sentinel = await authorize(api, client_secret="__stack_public_client__")
    assert_rejected(sentinel, 401, "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT")


@pytest.mark.parametrize(
    ("answer", "error"),
    [("deny", "OAUTH_PROVIDER_ACCESS_DENIED"), ("unavailable", "OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE")],
)
async def test_a_denial_goes_back_to_the_app(api: Api, answer: str, error: str) -> None:
    assert find_error(await return_from_provider(api, {"answer": answer})) == error


async def test_an_untrusted_redirect_gets_no_code(api: Api) -> None:
    evil = await return_from_provider(api, redirect_uri="https://evil.example/")
    assert_rejected(evil, 400, "REDIRECT_URL_NOT_WHITELISTED")
    elsewhere = await return_from_provider(
        api, redirect_uri="https://evil.example/", error_redirect_uri="http://localhost:3000/error"
    )
    assert find_error(elsewhere) == "REDIRECT_URL_NOT_WHITELISTED"
    assert elsewhere.headers["location"].startswith("http://localhost:3000/error?")


@pytest.mark.parametrize(
    "changes", [{"scope": "openid"}, {"response_type": "token"}, {"code_challenge_method": "S512"}]
)
async def test_what_an_app_asked_wrongly_is_said_at_the_end(api: Api, changes: dict[str, Any]) -> None:
    answer = await return_from_provider(api, **changes)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")


async def test_a_flow_works_once_in_ten_minutes_at_its_provider(api: Api) -> None:
    """A flow is used once within ten minutes at its own provider."""
    back = await provide(api, (await authorize(api)).json()["location"])
    assert (await api.http.get(back)).status_code == 303
    assert (await api.http.get(back)).status_code == 400
    late = await provide(api, (await authorize(api)).json()["location"])
    api.emulator.clock.advance(600)
    assert find_error(await api.http.get(late)) == "OUTER_OAUTH_TIMEOUT"
    other = await provide(api, (await authorize(api)).json()["location"])
    assert (await api.http.get(other.replace("/github", "/google"))).status_code == 400
    for query in ("", "?state=nope&code=x"):
        assert (await api.http.get(f"/api/v1/auth/oauth/callback/github{query}")).status_code == 400


async def test_a_providers_code_cannot_be_forged_or_moved(api: Api) -> None:
    """A providers code cannot be made up or carried to another flow."""
    location = (await authorize(api)).json()["location"]
    back = await provide(api, location)
    made_up = back.replace(parse_qs(urlsplit(back).query)["code"][0], "nope")
    assert (await api.http.get(made_up)).status_code == 400
    state = parse_qs(urlsplit((await authorize(api)).json()["location"]).query)["state"][0]
    as_code = f"/api/v1/auth/oauth/callback/github?state={state}&code={state}"
    assert (await api.http.get(as_code)).status_code == 400


async def test_a_closed_project_and_a_rule_refuse_new_users(api: Api) -> None:
    api.emulator.configure(sign_up_rules=[{"contains": "blocked", "action": "reject"}])
    assert find_error(await return_from_provider(api, {"email": "blocked@example.com"})) == "SIGN_UP_REJECTED"
    api.emulator.configure(sign_up_enabled=False)
    assert find_error(await return_from_provider(api)) == "SIGN_UP_NOT_ENABLED"


@pytest.mark.parametrize(
    ("strategy", "verified", "at_provider", "outcome"),
    [
        ("link_method", True, "no", "same user"),
        ("link_method", False, "no", "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE"),
        ("link_method", True, "yes", "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE"),
        ("raise_error", True, "no", "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE"),
        ("allow_duplicates", True, "no", "new user"),
    ],
)
async def test_an_existing_address_is_merged_by_the_setting(
    api: Api, strategy: str, verified: bool, at_provider: str, outcome: str
) -> None:
    """An address that is there already is merged as the project says."""
    user_id = (await api.sign_up())["user_id"]
    await api.patch(f"/users/{user_id}", {"primary_email_verified": verified}, access="server")
    api.emulator.configure(oauth_account_merge_strategy=strategy)
    answer = await return_from_provider(api, {"unverified": at_provider})
    if answer.status_code == 307:
        assert find_error(answer) == outcome
        return
    tokens = (await exchange(api, parse_qs(urlsplit(answer.headers["location"]).query)["code"][0])).json()
    me = (await api.me(tokens["access_token"], access="server")).json()
    assert ("same user" if me["id"] == user_id else "new user") == outcome
    assert me["primary_email_auth_enabled"] is (me["id"] == user_id)


async def test_a_signed_in_user_links_an_account_that_then_signs_in(api: Api) -> None:
    signed_up = await api.sign_up()
    form = {"email": "hub@example.com"}
    linked = (await exchange(api, await code(api, form, type="link", token=signed_up["access_token"]))).json()
    assert (await api.me(linked["access_token"])).json()["id"] == signed_up["user_id"]
    by_provider = (await exchange(api, await code(api, form))).json()
    assert (await api.me(by_provider["access_token"])).json()["id"] == signed_up["user_id"]
    other = await api.sign_up("other@example.com")
    taken = await return_from_provider(api, form, type="link", token=other["access_token"])
    assert find_error(taken) == "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER"


async def test_a_provider_makes_the_anonymous_user_a_full_one(api: Api) -> None:
    before = (await api.post("/auth/anonymous/sign-up")).json()
    after = (await exchange(api, await code(api, token=before["access_token"]))).json()
    me = (await api.me(after["access_token"])).json()
    assert (me["id"], me["is_anonymous"]) == (before["user_id"], False)


async def test_a_code_is_redeemed_once_within_five_minutes(api: Api) -> None:
    first = await code(api)
    assert (await exchange(api, first)).status_code == 200
    assert_rejected(await exchange(api, first), 400, "INVALID_AUTHORIZATION_CODE")
    late = await code(api)
    api.emulator.clock.advance(300)
    assert_rejected(await exchange(api, late), 400, "INVALID_AUTHORIZATION_CODE")


@pytest.mark.parametrize("changes", [{"code_verifier": "x" * 43}, {"code_verifier": None}, {"client_secret": "pck_no"}])
async def test_a_wrong_verifier_or_secret_leaves_the_code_usable(api: Api, changes: dict[str, Any]) -> None:
    authorization_code = await code(api)
    wanted = "INVALID_OAUTH_CLIENT_ID_OR_SECRET" if "client_secret" in changes else "INVALID_AUTHORIZATION_CODE"
    assert_rejected(await exchange(api, authorization_code, **changes), 400, wanted)
    assert (await exchange(api, authorization_code)).status_code == 200


@pytest.mark.parametrize("redirect_uri", ["http://localhost:3000/other", None])
async def test_a_wrong_or_missing_redirect_burns_the_code(api: Api, redirect_uri: str | None) -> None:
    authorization_code = await code(api)
    assert (await exchange(api, authorization_code, redirect_uri=redirect_uri)).status_code == 400
    assert_rejected(await exchange(api, authorization_code), 400, "INVALID_AUTHORIZATION_CODE")


async def test_the_token_endpoint_refuses_what_it_does_not_know(api: Api) -> None:
    assert_rejected(await exchange(api, "x", grant_type="password"), 400, "SCHEMA_ERROR")
    assert_rejected(await exchange(api, "x", grant_type=None), 400, "SCHEMA_ERROR")
    assert_rejected(await exchange(api, "x"), 400, "INVALID_AUTHORIZATION_CODE")
    assert_rejected(await exchange(api, "x", client_id=None), 400, "INVALID_OAUTH_CLIENT_ID_OR_SECRET")
    missing = await exchange(api, "x", code=None)
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")
    assert "x-stack-known-error" not in missing.headers


async def test_pkce_replaces_the_secret_unless_a_key_is_required(api: Api) -> None:
    assert (await exchange(api, await code(api), client_secret=None)).status_code == 200
    authorization_code = await code(api)
    api.emulator.configure(require_publishable_client_key=True)
    answer = await exchange(api, authorization_code, client_secret=None)
    assert_rejected(answer, 401, "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT")


async def test_the_refresh_grant_gives_an_access_token_alone(api: Api) -> None:
    refresh_token = (await api.sign_up())["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    answer = await exchange(api, "", code=None, **form)
    assert set(answer.json()) == {
        "access_token", "token_type", "expires_in", "scope", "afterCallbackRedirectUrl", "after_callback_redirect_url",
    }  # fmt: skip
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    wrong = await exchange(api, "", code=None, **{**form, "refresh_token": "nope"})
    assert_rejected(wrong, 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert_rejected(await exchange(api, "", **form, client_secret=None), 400, "INVALID_OAUTH_CLIENT_ID_OR_SECRET")


async def test_the_second_factor_is_asked_for_at_the_exchange(api: Api) -> None:
    tokens = (await exchange(api, await code(api))).json()
    await api.patch("/users/me", {"totp_secret_base64": "AAAA"}, token=tokens["access_token"])
    assert_rejected(await exchange(api, await code(api)), 400, "MULTI_FACTOR_AUTHENTICATION_REQUIRED")


async def test_the_providers_page_takes_an_address_only(api: Api) -> None:
    location = (await authorize(api)).json()["location"]
    state = parse_qs(urlsplit(location).query)["state"][0]
    again = await api.http.post(location, data={"state": state, "email": "nope", "answer": "allow"})
    assert again.status_code == 400
    unknown = await api.http.get(location.replace(state, "nope"))
    assert unknown.status_code == 400
    scripted = await api.http.post(location, data={"state": state, "email": "<script>", "answer": "allow"})
    assert "<script>" not in scripted.text


async def test_a_redirect_with_letters_beyond_ascii_is_kept(api: Api) -> None:
    answer = await return_from_provider(api, redirect_uri="http://localhost:3000/zur\u00fcck\u20ac")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("http://localhost:3000/zur%C3%BCck%E2%82%AC?code=")
