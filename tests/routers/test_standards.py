"""What `docs/security.md` says of the routes and no other test shows, item by item."""

import hashlib
import json
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator
from tests.emulator.authenticator import Authenticator
from tests.routers.callers import ACCESS, EMAIL, ORIGIN, PASSWORD, PREFIXES, House, Person, assert_problem, new_stack
from tests.routers.flows import (
    at_the_provider,
    back,
    begin,
    come_back,
    enroll,
    error_in,
    options,
    register_passkey,
    signed_in,
    stolen,
    submit,
)
from tests.routers.operations import operations

COMBINING, COMPOSED = (unicodedata.normalize(form, "é") for form in ("NFD", "NFC"))


@pytest.fixture
async def internet() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


class Recorder(httpx.AsyncHTTPTransport):
    """The way to the auth server, and what went along it."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return await super().handle_async_request(request)

    def queries(self, path: str) -> list[dict[str, str]]:
        """The queries of all requests to a path."""
        return [dict(request.url.params) for request in self.requests if path in request.url.path]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """The JSON bodies of all requests to a path."""
        return [json.loads(request.content) for request in self.requests if path in request.url.path]


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- OAuth ---


async def test_each_flow_has_its_own_state_and_verifier(server: Emulator, internet: httpx.AsyncClient):
    """RFC 8725 §3.5; RFC 9700 §2.1: state, PKCE with S256, the code flow alone."""
    recorder = Recorder()
    stack = new_stack(server, transport=recorder)
    async with House(server, stack).person("cookie") as browser:
        for _ in range(20):
            location = await begin(browser)
        await come_back(browser, await at_the_provider(internet, location))
    await stack.aclose()
    flows = recorder.queries("/auth/oauth/authorize/")
    assert {len(decode(flow["state"])) for flow in flows} == {32}
    assert len({flow["state"] for flow in flows}) == len({flow["code_challenge"] for flow in flows}) == 20
    assert {(flow["code_challenge_method"], flow["response_type"]) for flow in flows} == {("S256", "code")}
    (exchange,) = recorder.bodies("/auth/oauth/token")
    verifier = exchange["code_verifier"]
    assert decode(flows[-1]["code_challenge"]) == hashlib.sha256(verifier.encode()).digest()
    assert len(decode(verifier)) >= 32
    assert verifier not in str(flows)


async def test_tokens_that_come_with_the_callback_are_never_taken(
    house: House, browser: Person, internet: httpx.AsyncClient
):
    """RFC 9700 §4.6: who is signed in is said by the token endpoint alone."""
    async with house.person("body") as attacker:
        await attacker.sign_up("eve@example.com")
    injected = {
        name: attacker.tokens["refresh_token" if "refresh" in name else "access_token"]
        for name in ("access_token", "refresh_token", "id_token", "token", "stack-access", "stack-refresh")
    }
    alone = urlsplit(await stolen(browser, internet))
    state = parse_qs(alone.query)["state"][0]
    without_code = str(httpx.URL(alone._replace(query="").geturl(), params={"state": state, **injected}))
    assert error_in(await come_back(browser, without_code)) == "oauth_flow_invalid"
    assert ACCESS not in browser.client.cookies
    beside_it = httpx.URL(await stolen(browser, internet)).copy_merge_params(injected)
    answer = await come_back(browser, str(beside_it))
    assert (answer.headers["location"], answer.content) == ("/notes", b"")
    assert (await browser.call("GET", "/me")).json()["primary_email"] == EMAIL
    assert attacker.tokens["refresh_token"] not in browser.client.cookies.values()


async def test_every_redirect_of_a_route_is_303(house: House, browser: Person):
    """RFC 9700 §4.12: neither a form nor its credentials are sent on to where a redirect leads."""
    paths: dict[str, Any] = house.app.openapi()["paths"]
    told = {code for path in paths.values() for route in path.values() for code in route["responses"] if code[0] == "3"}
    assert told == {"303"}
    await browser.sign_up()
    posts = [route for route in operations(house.app, PREFIXES["cookie"]) if route.method == "POST"]
    answers = [await submit(browser, route.concrete, {}) for route in posts]
    assert {answer.status_code for answer in answers if answer.has_redirect_location} == {303}


# --- passwords ---


@pytest.mark.parametrize(
    ("password", "others"),
    [
        ("x" * 64, ["x" * 63, "x" * 65, "X" * 64]),
        ("  " + PASSWORD + "\t", [PASSWORD, PASSWORD + "\t", "  " + PASSWORD, "  " + PASSWORD + " "]),
        (f"caf{COMBINING} \U0001f511 with both", [f"caf{COMPOSED} \U0001f511 with both", f"caf{COMBINING} with both"]),
        ("a%20b+c&d=e;f", ["a b+c&d=e;f", "a%20b c&d=e;f", "a%20b+c&d=e"]),
    ],
    ids=["64 characters", "spaces", "combining", "escapes"],
)
async def test_a_password_is_verified_as_it_was_typed(person: Person, password: str, others: list[str]):
    """ASVS 6.2.8, 6.2.9: 64 characters are allowed; nothing is trimmed, cut, normalized or decoded on the way."""
    await person.sign_up(password=password)
    for other in others:
        wrong = await person.post("/password/sign-in", {"email": EMAIL, "password": other})
        assert_problem(wrong, 400, "EMAIL_PASSWORD_MISMATCH")
    await person.sign_in(password=password)


async def test_a_form_passes_a_password_on_as_it_was_typed(browser: Person):
    password = f"  +%20 caf{COMBINING} \U0001f511 "
    answer = await submit(browser, "/password/sign-up", {"email": EMAIL, "password": password})
    assert (answer.status_code, answer.headers["location"]) == (303, "/notes")
    await browser.sign_in(password=password)


async def test_a_too_long_password_is_rejected_not_truncated(person: Person):
    """A password that is longer than the auth server takes is refused and not cut."""
    answer = await person.post("/password/sign-up", {"email": EMAIL, "password": "x" * 71})
    assert answer.status_code in (400, 422)
    await person.sign_up(password="x" * 70)


async def test_a_reset_does_not_get_around_the_second_factor(house: House, person: Person):
    """ASVS 6.4.3: it signs nobody in, and the new password is one factor still."""
    await enroll(house, person)
    assert (await person.post("/password/forgot", {"email": EMAIL})).status_code == 204
    code = house.mail("password_reset")["code"]
    answer = await person.post("/password/reset", {"code": code, "password": "another horse battery"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "set-cookie" not in answer.headers
    asked = await person.post("/password/sign-in", {"email": EMAIL, "password": "another horse battery"})
    assert_problem(asked, 403, "mfa_required")


async def test_password_fields_are_masked_and_allow_pasting(person: Person):
    """ASVS 6.2.6, 6.2.7."""
    answer = await person.client.get(person.path("/password/reset"), params={"code": "abc123"})
    fields = re.findall(r"<input[^>]*>", answer.text)
    (typed,) = [field for field in fields if 'name="password"' in field]
    assert 'type="password"' in typed
    assert 'autocomplete="new-password"' in typed
    assert not re.search(r"\son\w+=|<script|maxlength", answer.text)


async def grant(person: Person, password: str, username: str = EMAIL) -> httpx.Response:
    form = {"grant_type": "password", "username": username, "password": password}
    return await person.client.post(person.path("/token"), data=form)


async def test_the_password_grant_is_for_bodies_and_limited(server: Emulator):
    """RFC 9700 §2.4: it is `/password/sign-in` in another form, with its limits and its second factor."""
    stack = new_stack(server, rate_limit_account="3/hour")
    house = House(server, stack)
    async with house.person("body") as phone, house.person("cookie") as browser:
        await enroll(house, phone)
        assert (await grant(browser, PASSWORD)).status_code == 404
        assert_problem(await grant(phone, PASSWORD), 403, "mfa_required")
        assert_problem(await grant(phone, "wrong horse battery"), 400, "EMAIL_PASSWORD_MISMATCH")
        credentials = {"email": EMAIL, "password": "wrong horse battery"}
        assert_problem(await phone.post("/password/sign-in", credentials), 400, "EMAIL_PASSWORD_MISMATCH")
        assert_problem(await grant(phone, PASSWORD), 429, "rate_limit_exceeded")
    await stack.aclose()


async def test_every_guessable_body_route_is_limited(server: Emulator):
    """ASVS 6.3.1: those of cookie delivery are in test_limits.py."""
    stack = new_stack(server, rate_limit_address="2/hour")
    house = House(server, stack)
    async with house.person("body") as phone:
        await phone.sign_up()
        routes = [each for each in operations(house.app, PREFIXES["body"]) if "rate_limit_exceeded" in each.codes]
        assert {"token_password_grant", "token_oauth_finish", "token_otp_sign_in"} <= {r.operation_id for r in routes}
        for route in routes:
            for _ in range(3):
                if route.operation_id == "token_password_grant":
                    answer = await grant(phone, PASSWORD)
                else:
                    answer = await phone.call(route.method, route.concrete, route.body)
            assert_problem(answer, 429, "rate_limit_exceeded")
    await stack.aclose()


# --- codes ---


async def test_a_code_by_email_is_long_and_its_end_is_secret(house: House, person: Person):
    """ASVS 6.4.1, 6.5.3, 6.5.4: six characters to type beside 39 that the browser or the app that asked keeps."""
    codes = []
    for _ in range(2):
        await person.ask_for_code()
        mail = house.mail("sign_in")
        assert (len(mail["otp"]), len(mail["code"])) == (6, 45)
        assert person.delivery == "cookie" or len(person.nonce or "") == 39
        codes.append(mail["code"])
    assert codes[0] != codes[1]


# --- what is answered ---


async def test_no_answer_of_a_route_is_stored(house: House, person: Person):
    """RFC 6750 §5.4: those with tokens, and all others."""
    await person.sign_up()
    codes = set()
    for route in operations(house.app, PREFIXES[person.delivery]):
        answer = await person.call(route.method, route.concrete, route.body)
        codes.add(answer.status_code)
        assert answer.headers["cache-control"] == "no-store", route
    assert {200, 204, 400} <= codes


@pytest.mark.parametrize("path", ["/password/sign-up", "/password/sign-in", "/anonymous/sign-up", "/session/refresh"])
async def test_answers_that_hold_tokens_are_never_stored(phone: Person, path: str):
    bodies: dict[str, Any] = {"/password/sign-up": {"email": "bob@example.com", "password": PASSWORD}}
    await phone.sign_up()
    bodies["/password/sign-in"] = {"email": EMAIL, "password": PASSWORD}
    bodies["/session/refresh"] = {"refresh_token": phone.refresh_token}
    answer = await phone.post(path, bodies.get(path))
    assert answer.json()["access_token"]
    assert answer.headers["cache-control"] == "no-store"


# --- passkeys ---


def asked_of_the_auth_server(house: House) -> int:
    counts = house.stack.events.counts().items()
    return sum(count for (name, _), count in counts if name == "auth_server_call")


REFUSED_HERE: list[object] = [
    {},
    None,
    {"id": "a", "rawId": "a", "type": "public-key"},
    {"id": 1, "rawId": "a", "type": "public-key", "response": {}},
    {"id": "a", "rawId": "a", "type": "public-key", "response": {"clientDataJSON": "A" * 40_000}},
]


@pytest.mark.parametrize("credential", REFUSED_HERE, ids=range(len(REFUSED_HERE)))
@pytest.mark.parametrize("step", ["/passkey/sign-in", "/passkey/register"])
async def test_a_credential_of_no_browser_is_never_sent_on(house: House, person: Person, credential: object, step: str):
    """WebAuthn 7.1: the auth server hears nothing of it."""
    await person.sign_up()
    given = await options(person, "/passkey/options" if step.endswith("sign-in") else "/passkey/register/options")
    before = asked_of_the_auth_server(house)
    answer = await person.post(step, back(given, credential))
    assert answer.status_code in (413, 422), answer.text  # a body that is too large is not even read
    assert asked_of_the_auth_server(house) == before
    assert before > 0


async def test_options_for_a_sign_in_name_no_credential_and_no_user(house: House, person: Person):
    """WebAuthn 14.6.2 and 14.6.3: an account with a passkey cannot be told from one without."""
    authenticator = Authenticator(ORIGIN)
    async with house.person("body") as owner:
        user_id = await owner.sign_up()
        await register_passkey(owner, authenticator)
    given = (await options(person, "/passkey/options"))["options"]
    assert given["allowCredentials"] == []
    stored = urlsafe_b64encode(authenticator.credential_id).decode().rstrip("=")
    assert not [secret for secret in (user_id, EMAIL, stored) if secret in json.dumps(given)]


async def test_scripts_cannot_read_a_browsers_challenge(browser: Person):
    """A browsers challenge is kept where scripts cannot read it."""
    answer = await browser.post("/passkey/options", headers={"origin": ORIGIN})
    (cookie,) = answer.headers.get_list("set-cookie")
    assert all(part in cookie for part in ("passkey", "HttpOnly", "SameSite=Lax"))
    assert "code" not in answer.json()


async def test_nobody_registers_a_passkey_without_being_signed_in(person: Person):
    authenticator = Authenticator(ORIGIN)
    body = {"credential": authenticator.register("AAAA")} | ({"code": "0" * 45} if person.delivery == "body" else {})
    assert_problem(await person.post("/passkey/register", body), 401, "authentication_required")


async def test_accounts_are_told_apart_by_provider(browser: Person, house: House, internet: httpx.AsyncClient):
    """ASVS 6.8.1: the same account id at another provider is somebody else."""
    house.server.configure(oauth_account_merge_strategy="allow_duplicates")
    ids = []
    for provider in ("github", "google", "github", "google"):
        ids.append(await signed_in(browser, internet, provider))
        await browser.post("/sign-out")
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]
