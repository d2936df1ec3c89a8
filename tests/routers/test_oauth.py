"""OAuth, end to end: the mock provider's page is filled in over real HTTP, and the browser comes back to the app."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from html import escape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import KnownApiError
from fastapi_stackauth.routers.plumbing.pages import onward_page
from tests.routers.callers import ACCESS, EMAIL, ORIGIN, House, Person, assert_problem, new_stack
from tests.routers.flows import CHALLENGE, VERIFIER, at_the_provider, begin, come_back, error_in, signed_in, stolen

APP_REDIRECT = "myapp://auth/callback"


@pytest.fixture
async def internet() -> AsyncIterator[httpx.AsyncClient]:
    """The browser's way to the auth server and the provider."""
    async with httpx.AsyncClient() as client:
        yield client


# --- in a browser ---


async def test_a_provider_signs_a_new_person_in_and_the_same_one_again(browser: Person, internet: httpx.AsyncClient):
    location = await begin(browser, return_to="/notes?page=2")
    answer = await come_back(browser, await at_the_provider(internet, location))
    assert (answer.status_code, answer.headers["location"]) == (303, "/notes?page=2")
    account = (await browser.call("GET", "/me")).json()
    assert account["primary_email"] == EMAIL
    assert not [name for name in browser.client.cookies if "oauth" in name], "the flow's cookie is gone"
    await browser.post("/sign-out")
    assert await signed_in(browser, internet) == account["id"]


async def test_without_a_return_to_the_settings_say_where_to_go(browser: Person, internet: httpx.AsyncClient):
    answer = await come_back(browser, await at_the_provider(internet, await begin(browser)))
    assert answer.headers["location"] == "/"


async def test_the_browsers_url_holds_neither_token_nor_key(house: House, browser: Person, internet: httpx.AsyncClient):
    await browser.sign_in_at("/anonymous/sign-up")
    answer = await browser.client.get(browser.path("/oauth/github/authorize"))
    location = answer.headers["location"]
    for secret in (house.server.publishable_client_key, browser.access_token, browser.refresh_token):
        assert secret not in location
    (cookie,) = [each for each in answer.headers.get_list("set-cookie") if "oauth" in each]
    assert re.match(r"stackauth-oauth-[\w-]{43}=", cookie)
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/"))


async def test_a_guest_who_signs_in_at_a_provider_keeps_their_id(browser: Person, internet: httpx.AsyncClient):
    guest = await browser.sign_in_at("/anonymous/sign-up")
    assert await signed_in(browser, internet) == guest["user_id"]
    assert (await browser.call("GET", "/me")).json()["is_anonymous"] is False


async def test_more_scopes_are_asked_for_as_router_and_page_say(server: Emulator, internet: httpx.AsyncClient):
    stack = new_stack(server)
    house = House(server, stack, oauth_scopes={"github": "repo"})
    async with house.person("cookie") as person:
        location = await begin(person, scope="gist")
        assert parse_qs(urlsplit(location).query)["scope"][0].split()[-2:] == ["repo", "gist"]
        assert "repo" not in await begin(person, "google")
        await come_back(person, await at_the_provider(internet, location))
        given = await person.post("/connected-accounts/github/access-token", {"scope": "repo gist"})
        assert given.status_code == 200
        refused = await person.post("/connected-accounts/github/access-token", {"scope": "admin"})
        assert_problem(refused, 400, "OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE")
    await stack.aclose()


async def test_two_tabs_at_once_both_come_back(browser: Person, internet: httpx.AsyncClient):
    one, two = await begin(browser, return_to="/one"), await begin(browser, "google", return_to="/two")
    second = await come_back(browser, await at_the_provider(internet, two))
    first = await come_back(browser, await at_the_provider(internet, one, email="ada@example.net"))
    assert [first.headers["location"], second.headers["location"]] == ["/one", "/two"]


async def test_flows_that_were_left_do_not_pile_up(browser: Person, internet: httpx.AsyncClient):
    for _ in range(12):
        last = await begin(browser)
    assert len([name for name in browser.client.cookies if "oauth" in name]) == 8
    assert (await come_back(browser, await at_the_provider(internet, last))).status_code == 303
    assert (await browser.call("GET", "/me")).status_code == 200


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"answer": "deny"}, "OAUTH_PROVIDER_ACCESS_DENIED"),
        ({"answer": "unavailable"}, "OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE"),
    ],
)
async def test_provider_errors_return_to_the_start_page(
    browser: Person, internet: httpx.AsyncClient, form: dict[str, str], code: str
):
    """What goes wrong at the provider is told where the sign in began."""
    back = await at_the_provider(internet, await begin(browser, return_to="/notes"), **form)
    assert "error=server_error" in back
    assert error_in(await come_back(browser, back)) == code
    assert_problem(await come_back(browser, back), 400, "oauth_flow_invalid")
    back = await at_the_provider(internet, await begin(browser), **form)
    assert_problem(await come_back(browser, back), 400, code)


@pytest.mark.parametrize(
    ("config", "code", "status"),
    [
        ({"sign_up_enabled": False}, "SIGN_UP_NOT_ENABLED", 400),
        (
            {"oauth_account_merge_strategy": "raise_error"},
            "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE",
            409,
        ),
    ],
)
async def test_account_errors_keep_the_servers_code(
    house: House, browser: Person, internet: httpx.AsyncClient, config: dict[str, Any], code: str, status: int
):
    """What the auth server has against an account is told by its own code."""
    async with house.person("body") as other:
        await other.sign_up()
    house.server.configure(**config)
    email = EMAIL if status == 409 else "new@example.com"
    back = await at_the_provider(internet, await begin(browser, return_to="/notes"), email=email)
    assert error_in(await come_back(browser, back)) == code
    back = await at_the_provider(internet, await begin(browser), email=email)
    assert_problem(await come_back(browser, back), status, code)


async def test_a_rule_that_rejects_a_sign_up_is_told(house: House, browser: Person, internet: httpx.AsyncClient):
    house.server.configure(sign_up_rules=[{"contains": "@blocked.example", "action": "reject"}])
    back = await at_the_provider(internet, await begin(browser, return_to="/notes"), email="eve@blocked.example")
    assert error_in(await come_back(browser, back)) == "SIGN_UP_REJECTED"


async def test_a_provider_that_is_switched_off_is_told_at_once(browser: Person):
    url = browser.path("/oauth/gitlab/authorize")
    assert_problem(await browser.client.get(url), 400, "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED")
    told = await browser.client.get(url, params={"return_to": "/notes"})
    assert error_in(told) == "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"
    assert "oauth" not in str(told.headers.get_list("set-cookie"))


async def test_an_error_joins_the_query_that_is_there(browser: Person):
    url = browser.path("/oauth/gitlab/authorize")
    told = await browser.client.get(url, params={"return_to": "/notes?page=2&error=old#end"})
    wanted = "/notes?page=2&error=OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED#end"
    assert told.headers["location"] == wanted


async def test_a_required_bot_challenge_is_reported_and_passed_on(browser: Person, caplog: pytest.LogCaptureFixture):
    """A demanded bot challenge is told and its outcome passed on."""
    caplog.set_level("INFO")
    url = browser.path("/oauth/github/authorize")
    asked = await browser.client.get(url, params={"bot_challenge_phase": "invisible"})
    assert_problem(asked, 409, "BOT_CHALLENGE_REQUIRED")
    failed = await browser.client.get(url, params={"bot_challenge_unavailable": "true"})
    assert_problem(failed, 400, "BOT_CHALLENGE_FAILED")
    await begin(browser, bot_challenge_phase="visible", bot_challenge_token="mock-turnstile-ok:1")
    assert "bot_challenge_token=[redacted]" in caplog.text
    assert "mock-turnstile" not in caplog.text


async def test_a_wrong_challenge_is_no_sign_of_an_old_server(browser: Person):
    """A wrong challenge stays here and is not taken for an old server."""
    answer = await browser.client.get(
        browser.path("/oauth/github/authorize"), params={"bot_challenge_phase": "nonsense"}
    )
    assert_problem(answer, 422, "request_invalid")


async def test_shared_keys_give_no_scopes_and_tokens(house: House, browser: Person):
    """More scopes and tokens are not to be had with shared keys."""
    house.server.configure(oauth_providers=[{"id": "github", "type": "shared"}])
    url = browser.path("/oauth/github/authorize")
    refused = await browser.client.get(url, params={"scope": "repo"})
    assert_problem(refused, 400, "OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS")
    await browser.sign_up()
    refused = await browser.post("/connected-accounts/github/access-token", {})
    assert_problem(refused, 400, "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS")


async def test_a_server_that_refuses_our_key_is_the_set_ups_fault(server: Emulator):
    stack = new_stack(server, publishable_client_key="pck_wrong")
    async with House(server, stack).person("cookie") as person:
        url = person.path("/oauth/github/authorize")
        assert_problem(await person.client.get(url), 502, "auth_server_misconfigured")
        assert error_in(await person.client.get(url, params={"return_to": "/notes"})) == "auth_server_misconfigured"
    await stack.aclose()


async def test_a_browsers_flow_cannot_write_into_the_log(browser: Person, caplog: pytest.LogCaptureFixture):
    """Nothing that a browser keeps of a flow can write into the log."""
    import json
    import logging

    caplog.set_level(logging.DEBUG)
    state = "state-of-ones-own"
    flow = urlsafe_b64encode(hashlib.sha256(state.encode()).digest()).rstrip(b"=").decode()
    facts = {"state": state, "verifier": "\ud800", "provider": "a\nFORGED", "kind": "authenticate", "return_to": ""}
    value = urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")
    headers = {"cookie": f"stackauth-oauth-{flow}={value}"}
    for query in ("errorCode=X", f"code=c&state={state}"):
        answer = await browser.client.get(browser.path(f"/oauth/callback/{flow}?{query}"), headers=headers)
        assert answer.status_code == 400
    assert "FORGED" not in caplog.text


async def test_a_server_that_is_down_is_told_too(server: Emulator):
    stack = new_stack(server, base_url="http://127.0.0.1:9", timeout=0.5)
    async with House(server, stack).person("cookie") as person:
        url = person.path("/oauth/github/authorize")
        assert_problem(await person.client.get(url), 503, "auth_server_unavailable")
        assert error_in(await person.client.get(url, params={"return_to": "/notes"})) == "auth_server_unavailable"
    await stack.aclose()


async def test_an_untrusted_address_is_a_configuration_error(server: Emulator, internet: httpx.AsyncClient):
    """An address that the project does not trust is the set ups fault."""
    stack = new_stack(server, app_url="https://app.example.com", insecure_cookies=False)
    house = House(server, stack)
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as client:
        location = await begin(Person(client, "cookie"))
        state = parse_qs(urlsplit(location).query)["state"][0]
        answer = await internet.post(location, data={"state": state, "answer": "allow", "email": EMAIL})
        back = await internet.get(answer.headers["location"])
        assert back.json()["code"] == "REDIRECT_URL_NOT_WHITELISTED", "the auth server keeps the browser"
    await stack.aclose()


async def test_a_second_factor_is_asked_for_where_the_sign_in_leads(
    house: House, browser: Person, internet: httpx.AsyncClient
):
    user_id = await signed_in(browser, internet)
    secret = "QUJDREVGR0hJSktMTU5PUFFSU1Q="
    house.server.store.users.update(user_id, {"totp_secret": secret, "requires_totp_mfa": 1})
    await browser.post("/sign-out")
    answer = await come_back(browser, await at_the_provider(internet, await begin(browser, return_to="/notes?a=b")))
    assert (answer.status_code, answer.headers["location"]) == (303, "/notes?a=b&mfa=required")
    assert ACCESS not in browser.client.cookies
    assert (await browser.post("/mfa/sign-in", {"code": code_now(secret)})).status_code == 200
    assert (await browser.call("GET", "/me")).json()["id"] == user_id


def code_now(secret_base64: str) -> str:
    """What an authenticator app shows."""
    import base64

    import pyotp

    return pyotp.TOTP(base64.b32encode(base64.b64decode(secret_base64)).decode()).now()


async def test_an_old_server_is_called_by_the_browser_itself(
    house: House, browser: Person, internet: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    """Only servers of early versions refuse the parameter; the emulator is none, so the refusal is made here."""
    await browser.sign_in_at("/anonymous/sign-up")

    async def refuse(*_: Any, **__: Any) -> None:
        raise KnownApiError.of("SCHEMA_ERROR")

    monkeypatch.setattr("fastapi_stackauth.client.resources.oauth.OAuthApi.authorize", refuse)
    location = await begin(browser, return_to="/notes")
    assert location.startswith(f"{house.server.url}/api/v1/auth/oauth/authorize/github?")
    assert browser.access_token not in location
    assert "token" not in parse_qs(urlsplit(location).query)
    provider = (await internet.get(location)).headers["location"]
    answer = await come_back(browser, await at_the_provider(internet, provider))
    assert answer.headers["location"] == "/notes"
    assert (await browser.call("GET", "/me")).json()["primary_email"] == EMAIL


# --- attacks ---


async def test_another_browser_cannot_end_a_flow(house: House, browser: Person, internet: httpx.AsyncClient):
    back = await stolen(browser, internet)
    async with house.person("cookie") as other:
        await begin(other, return_to="/notes")
        refused = await come_back(other, back)
        assert_problem(refused, 400, "oauth_flow_invalid")
        assert ACCESS not in other.client.cookies


async def test_a_flow_ends_once(browser: Person, internet: httpx.AsyncClient):
    back = await stolen(browser, internet)
    assert (await come_back(browser, back)).headers["location"] == "/notes"
    cookies = dict(browser.client.cookies)
    assert_problem(await come_back(browser, back), 400, "oauth_flow_invalid")
    assert dict(browser.client.cookies) == cookies


async def test_a_flow_is_over_after_ten_minutes(house: House, browser: Person, internet: httpx.AsyncClient):
    location = await begin(browser, return_to="/notes")
    house.server.clock.advance(601)
    assert error_in(await come_back(browser, await at_the_provider(internet, location))) == "OUTER_OAUTH_TIMEOUT"


@pytest.mark.parametrize("state", ["", "made-up", "\u00e9", "x" * 300])
async def test_a_wrong_state_is_refused_and_burns_the_flow(browser: Person, internet: httpx.AsyncClient, state: str):
    back = await stolen(browser, internet)
    code = parse_qs(urlsplit(back).query)["code"][0]
    path = back.partition("?")[0]
    assert error_in(await come_back(browser, f"{path}?code={code}&state={quote(state)}")) == "oauth_flow_invalid"
    assert_problem(await come_back(browser, back), 400, "oauth_flow_invalid")
    assert ACCESS not in browser.client.cookies


async def test_the_state_of_another_flow_is_no_state_of_this_one(browser: Person, internet: httpx.AsyncClient):
    one, two = await stolen(browser, internet), await stolen(browser, internet)
    crossed = f"{one.partition('?')[0]}?{two.partition('?')[2]}"
    assert error_in(await come_back(browser, crossed)) == "oauth_flow_invalid"


async def test_a_code_that_somebody_else_was_given_signs_nobody_in(
    house: House, browser: Person, internet: httpx.AsyncClient
):
    """Code injection: PKCE ties a code to the flow that asked for it (RFC 9700 §4.5)."""
    async with house.person("cookie") as attacker:
        injected = parse_qs(urlsplit(await stolen(attacker, internet, email="eve@example.com")).query)["code"][0]
    back = await stolen(browser, internet)
    own = parse_qs(urlsplit(back).query)
    address = f"{back.partition('?')[0]}?code={injected}&state={own['state'][0]}"
    assert error_in(await come_back(browser, address)) == "INVALID_AUTHORIZATION_CODE"
    assert ACCESS not in browser.client.cookies


async def test_a_code_of_another_provider_does_not_end_this_ones_flow(browser: Person, internet: httpx.AsyncClient):
    """Mix-up: each flow comes back to an address of its own (RFC 9700 §4.4.2)."""
    github, google = await begin(browser, "github"), await begin(browser, "google")
    state = parse_qs(urlsplit(github).query)["state"][0]
    answer = await internet.post(google.partition("?")[0], data={"state": state, "answer": "allow", "email": EMAIL})
    assert answer.status_code == 400
    back = await at_the_provider(internet, github)
    other_flow = (await at_the_provider(internet, google)).partition("?")[0]
    answer = await come_back(browser, f"{other_flow}?{back.partition('?')[2]}")
    assert_problem(answer, 400, "oauth_flow_invalid")
    assert ACCESS not in browser.client.cookies


@pytest.mark.parametrize("error_code", ["<script>", "a b", "x" * 101, "%0d%0aset-cookie:a=b", "1", "é"])
async def test_an_error_of_nonsense_is_not_repeated(browser: Person, error_code: str):
    location = await begin(browser, return_to="/notes")
    assert location
    (name,) = [name for name in browser.client.cookies if "oauth" in name]
    flow = name.rpartition("oauth-")[2]
    answer = await browser.client.get(browser.path(f"/oauth/callback/{flow}?error=server_error&errorCode={error_code}"))
    assert error_in(answer) == "oauth_flow_invalid"


@pytest.mark.parametrize("flow", ["..", "x", "f" * 43, "%00" * 43, "f" * 44])
async def test_a_flow_that_nobody_began_is_refused(browser: Person, flow: str):
    answer = await browser.client.get(browser.path(f"/oauth/callback/{flow}?code=c&state=s"))
    assert answer.status_code in (400, 404, 422)
    assert "set-cookie" not in answer.headers or ACCESS not in str(answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("value", ["", "x", "e30", "W10", "eyJzdGF0ZSI6MX0", "\x7f", "eyJzdGF0ZSI6InMifQ"])
async def test_a_planted_cookie_of_nonsense_is_no_flow(browser: Person, value: str):
    answer = await browser.client.get(
        browser.path(f"/oauth/callback/{'f' * 43}?code=c&state=s"),
        headers={"cookie": f"stackauth-oauth-{'f' * 43}={value}"},
    )
    assert_problem(answer, 400, "oauth_flow_invalid")


async def test_a_planted_flow_must_have_the_state_that_names_it(browser: Person):
    import json

    facts = {"state": "s", "verifier": "v", "provider": "github", "kind": "authenticate", "return_to": "/notes"}
    value = urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")
    answer = await browser.client.get(
        browser.path(f"/oauth/callback/{'f' * 43}?code=c&state=s"),
        headers={"cookie": f"stackauth-oauth-{'f' * 43}={value}"},
    )
    assert_problem(answer, 400, "oauth_flow_invalid")


EVIL = [
    "//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example", "///evil.example",
    "\\\\evil.example", "/%09/evil.example\t", "\t//evil.example", "http://localhost:8000@evil.example/",
    "http://localhost:8000.evil.example/", "javascript:alert(1)", "data:text/html,x", "\uff0f\uff0fevil.example",
    "https://\uff45vil.example", "http://localhost:8001/", "myapp://other/", "\u2028//evil.example",
    "/x\r\nset-cookie: a=b",
]  # fmt: skip


@pytest.mark.parametrize("address", EVIL)
async def test_no_redirect_leads_to_another_place(browser: Person, address: str):
    answer = await browser.client.get(browser.path("/oauth/github/authorize"), params={"return_to": address})
    assert_problem(answer, 422, "request_invalid")
    assert "set-cookie" not in answer.headers
    assert "evil" not in answer.text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    address=st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
        st.builds(
            "".join,
            st.lists(
                st.sampled_from(
                    ["/", "\\", ":", "@", "%2f", "%5c", "\t", "\n", "https", "evil.example", ".", "?", "#", " "]
                ),
                max_size=8,
            ),
        ),
    )
)
async def test_wherever_a_browser_would_go_it_is_this_app(browser: Person, address: str):
    """Read as browsers read it: backslashes are slashes, tabs and line breaks are dropped (WHATWG URL)."""
    answer = await browser.client.get(browser.path("/oauth/gitlab/authorize"), params={"return_to": address})
    if answer.status_code != 303:
        assert answer.status_code in (400, 422)
        return
    location = answer.headers["location"]
    read = re.sub(r"[\t\r\n]", "", location).replace("\\", "/").strip()
    assert not read.startswith("//")
    assert read.startswith(("/", f"{ORIGIN}/")) or urlsplit(read).netloc == "localhost:8000"


# --- linking ---


async def test_a_user_links_an_account_and_signs_in_with_either(
    house: House, browser: Person, internet: httpx.AsyncClient
):
    """A signed in person links an account and signs in with either."""
    user_id = await browser.sign_up()
    answer = await browser.post("/oauth/github/link", {"return_to": "/account"})
    assert answer.status_code == 200
    back = await at_the_provider(internet, answer.json()["location"], email="work@example.com")
    sent_on = await come_back(browser, back)
    assert (sent_on.status_code, sent_on.headers["location"]) == (303, "/account")
    (account,) = (await browser.call("GET", "/connected-accounts")).json()
    assert (account["provider"], account["provider_account_id"]) == ("github", "work@example.com")
    assert len((await browser.call("GET", "/sessions")).json()) == 1, "linking opens no session more"
    async with house.person("cookie") as elsewhere:
        assert await signed_in(elsewhere, internet, email="work@example.com") == user_id


async def test_a_linking_form_gets_a_page_to_the_provider(browser: Person):
    """A redirect would be held to `form-action` of the page with the form."""
    await browser.sign_up()
    answer = await browser.client.post(browser.path("/oauth/github/link"), data={"return_to": "/account"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    delay, _, address = answer.headers["refresh"].partition("; url=")
    assert delay == "0"
    assert "/emulator/oauth/github/authorize" in address
    assert f'<a href="{escape(address)}" rel="noreferrer">' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "form-action 'none'" in answer.headers["content-security-policy"]
    assert "refresh" not in answer.text.lower()


async def test_a_form_of_another_site_links_nothing(browser: Person):
    await browser.sign_up()
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = await browser.client.post(browser.path("/oauth/github/link"), data={"return_to": "/"}, headers=headers)
    assert answer.status_code == 403
    assert "refresh" not in answer.headers


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/login?scope=a%20b&state=x;y",
        'https://github.com/?q="><script>alert(1)</script>',
        "https://github.com/\r\nset-cookie: a=b",
        "https://github.com/\u00fc",
    ],
)
def test_no_address_breaks_out_of_the_page_or_its_header(address: str):
    answer = onward_page(address)
    assert answer.headers["refresh"].startswith("0; url=https://github.com/")
    assert "\n" not in answer.headers["refresh"]
    assert b"<script" not in answer.body
    assert "set-cookie" not in answer.headers


async def test_an_account_of_somebody_else_cannot_be_linked(house: House, browser: Person, internet: httpx.AsyncClient):
    async with house.person("cookie") as other:
        await signed_in(other, internet, email="work@example.com")
    await browser.sign_up("eve@example.com")
    answer = await browser.post("/oauth/github/link", {"return_to": "/account"})
    back = await at_the_provider(internet, answer.json()["location"], email="work@example.com")
    told = error_in(await come_back(browser, back), "/account")
    assert told == "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER"


async def test_linking_needs_a_session_and_a_post(browser: Person):
    """Nobody links without being signed in nor by opening a page."""
    assert_problem(await browser.post("/oauth/github/link", {}), 401, "authentication_required")
    assert (await browser.call("GET", "/oauth/github/link")).status_code == 405


async def test_signing_in_at_a_provider_while_signed_in_links_nothing(browser: Person, internet: httpx.AsyncClient):
    first = await browser.sign_up()
    assert await signed_in(browser, internet, email="work@example.com") != first


async def test_connected_accounts_that_are_not_there_are_told_by_code(person: Person):
    await person.sign_up()
    assert (await person.call("GET", "/connected-accounts")).json() == []
    refused = await person.post("/connected-accounts/github/access-token", {})
    assert_problem(refused, 400, "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER")
    refused = await person.post("/connected-accounts/gitlab/access-token", {})
    assert_problem(refused, 400, "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED")


# --- an app that keeps its own verifier ---


async def start(phone: Person, redirect_uri: str = APP_REDIRECT, **more: str) -> httpx.Response:
    body = {"redirect_uri": redirect_uri, "state": "state-of-app", "code_challenge": CHALLENGE, **more}
    return await phone.post("/oauth/github/start", body)


@pytest.fixture
async def app_house(server: Emulator) -> AsyncIterator[House]:
    """An app whose mobile app may be redirected to."""
    stack = new_stack(server, redirect_urls=[APP_REDIRECT])
    yield House(server, stack)
    await stack.aclose()


async def finish(phone: Person, code: str, redirect_uri: str, verifier: str = VERIFIER) -> httpx.Response:
    return await phone.post("/oauth/finish", {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier})


async def test_a_command_line_app_signs_in_with_its_own_verifier(app_house: House, internet: httpx.AsyncClient):
    redirect = "http://127.0.0.1:7777/back"
    async with app_house.person("body") as phone:
        guest = await phone.sign_in_at("/anonymous/sign-up")
        back = await at_the_provider(internet, (await start(phone, redirect)).json()["location"])
        query = parse_qs(urlsplit(back).query)
        assert (back.partition("?")[0], query["state"]) == (redirect, ["state-of-app"])
        assert_problem(await finish(phone, query["code"][0], redirect, "w" * 43), 400, "INVALID_AUTHORIZATION_CODE")
        answer = await finish(phone, query["code"][0], redirect)
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        assert (tokens["user_id"], tokens["token_type"]) == (guest["user_id"], "Bearer")
        assert 0 < tokens["expires_in"] <= 600
        assert "set-cookie" not in answer.headers
        assert_problem(await finish(phone, query["code"][0], redirect), 400, "INVALID_AUTHORIZATION_CODE")


@pytest.mark.parametrize(
    "redirect_uri",
    ["https://evil.example/", "/notes", "myapp://other", "http://localhost@evil.example/", "http://127.0.0.2/", "x"],
)
async def test_an_app_is_sent_back_to_itself_alone(app_house: House, redirect_uri: str):
    async with app_house.person("body") as phone:
        assert_problem(await start(phone, redirect_uri), 422, "request_invalid")


async def test_an_app_links_an_account_for_who_is_signed_in(app_house: House, internet: httpx.AsyncClient):
    redirect = "http://127.0.0.1:7777/back"
    body = {"redirect_uri": redirect, "state": "state-of-app", "code_challenge": CHALLENGE}
    async with app_house.person("body") as phone:
        assert_problem(await phone.post("/oauth/github/link", body), 401, "authentication_required")
        await phone.sign_up()
        answer = await phone.post("/oauth/github/link", body)
        await at_the_provider(internet, answer.json()["location"], email="work@example.com")
        assert [each["provider"] for each in (await phone.call("GET", "/connected-accounts")).json()] == ["github"]


async def test_a_secret_key_alone_serves_oauth_as_well(keyed_house: House, internet: httpx.AsyncClient):
    async with keyed_house.person("cookie") as person:
        assert await signed_in(person, internet)


def test_the_address_for_a_browser_holds_no_token():
    from fastapi_stackauth import Settings

    client = StackAuthClient(Settings(project_id="p")).as_user("header.payload.signature")
    address = client.oauth.authorize_url("github", redirect_uri="https://a.example/", state="s", code_challenge="c")
    query = parse_qs(urlsplit(address).query)
    assert (query["client_id"], query["client_secret"]) == (["p"], ["__stack_public_client__"])
    assert "payload" not in address


def test_a_browser_is_sent_to_the_servers_public_address():
    from fastapi_stackauth import Settings

    settings = Settings(project_id="p", base_url="http://auth:8102", issuers=["https://auth.example.com"])
    oauth = StackAuthClient(settings).oauth
    address = oauth.authorize_url("github", redirect_uri="https://a.example/", state="s", code_challenge="c")
    assert address.startswith("https://auth.example.com/api/v1/auth/oauth/authorize/github?")
