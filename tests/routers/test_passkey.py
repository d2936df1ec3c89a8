"""Passkeys end to end, with an authenticator in software; `tests/browser` does the same with Chromium's."""

import json
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from tests.emulator.authenticator import Authenticator
from tests.routers.callers import ACCESS, ORIGIN, House, Person, assert_problem, new_stack
from tests.routers.flows import back, code, enroll, find_attempt, options, register_passkey


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(ORIGIN)


async def test_a_passkey_is_registered_and_signs_in(house: House, person: Person, authenticator: Authenticator):
    user_id = await person.sign_up()
    await register_passkey(person, authenticator)
    assert (await person.call("GET", "/me")).json()["passkey_auth_enabled"] is True
    async with house.person(person.delivery) as elsewhere:
        given = await options(elsewhere, "/passkey/options")
        answer = authenticator.sign_in(given["options"]["challenge"])
        signed_in = await elsewhere.sign_in_at("/passkey/sign-in", back(given, answer))
        assert (signed_in["user_id"], signed_in["is_new_user"]) == (user_id, False)
        assert not [name for name in elsewhere.client.cookies if "passkey" in name]


async def test_the_relying_party_is_the_app(person: Person):
    await person.sign_up()
    assert (await options(person, "/passkey/options"))["options"]["rpId"] == "localhost"
    rp = (await options(person, "/passkey/register/options"))["options"]["rp"]
    assert rp["id"] == "localhost"
    assert rp["name"]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://app.example.com", "app.example.com"),
        ("https://www.example.com", "www.example.com"),
        ("https://evil.example", "app.example.com"),
        ("null", "app.example.com"),
        (None, "app.example.com"),
    ],
)
async def test_the_relying_party_is_a_trusted_page_or_the_app_itself(server: Emulator, origin: str | None, host: str):
    stack = new_stack(
        server,
        app_url="https://app.example.com",
        trusted_origins=["https://www.example.com"],
        insecure_cookies=False,
    )
    async with House(server, stack).person("body") as phone:
        answer = await phone.post("/passkey/options", headers={"origin": origin} if origin else {})
        assert answer.json()["options"]["rpId"] == host
    await stack.aclose()


async def test_without_a_public_address_the_setting_is_named(server: Emulator):
    stack = StackAuth(project_id=server.project_id, base_url=server.url)
    async with House(server, stack).person("body") as phone:
        problem = assert_problem(await phone.post("/passkey/options"), 500, "configuration_error")
        assert "app_url" in problem["detail"]
    await stack.aclose()


async def test_a_second_factor_is_asked_for_after_a_passkey(house: House, person: Person, authenticator: Authenticator):
    async with house.person("body") as owner:
        await enroll(house, owner)
        attempt = await owner.post(
            "/password/sign-in", {"email": "ada@example.com", "password": "correct horse battery"}
        )
        await owner.sign_in_at("/mfa/sign-in", {**find_attempt(owner, attempt), "code": code(house)})
        await register_passkey(owner, authenticator)
    given = await options(person, "/passkey/options")
    refused = await person.post("/passkey/sign-in", back(given, authenticator.sign_in(given["options"]["challenge"])))
    await person.sign_in_at("/mfa/sign-in", {**find_attempt(person, refused), "code": code(house)})


async def test_an_answer_for_another_challenge_is_refused(house: House, person: Person, authenticator: Authenticator):
    await person.sign_up()
    await register_passkey(person, authenticator)
    given = await options(person, "/passkey/options")
    refused = await person.post("/passkey/sign-in", back(given, authenticator.sign_in("AAAA")))
    assert_problem(refused, 400, "PASSKEY_AUTHENTICATION_FAILED")
    given = await options(person, "/passkey/register/options")
    refused = await person.post("/passkey/register", back(given, authenticator.register("AAAA")))
    assert_problem(refused, 400, "PASSKEY_REGISTRATION_FAILED")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://evil.localhost.example"])
async def test_an_authenticator_at_another_site_is_refused(house: House, person: Person, origin: str):
    await person.sign_up()
    elsewhere = Authenticator(origin)
    given = await options(person, "/passkey/register/options")
    refused = await person.post("/passkey/register", back(given, elsewhere.register(given["options"]["challenge"])))
    assert_problem(refused, 400, "PASSKEY_REGISTRATION_FAILED")


async def test_options_work_once(house: House, person: Person, authenticator: Authenticator):
    await person.sign_up()
    await register_passkey(person, authenticator)
    given = await options(person, "/passkey/options")
    body = back(given, authenticator.sign_in(given["options"]["challenge"]))
    await person.sign_in_at("/passkey/sign-in", body)
    again = await person.post("/passkey/sign-in", body)
    if person.delivery == "cookie":
        assert_problem(again, 400, "VERIFICATION_CODE_EXPIRED")
    else:
        assert_problem(again, 409, "VERIFICATION_CODE_ALREADY_USED")


@pytest.mark.parametrize("path", ["/passkey/sign-in", "/passkey/register"])
async def test_an_answer_that_comes_late_says_so(house: House, person: Person, authenticator: Authenticator, path: str):
    await person.sign_up()
    await register_passkey(person, authenticator)
    given = await options(person, path.replace("sign-in", "options") + ("/options" if "register" in path else ""))
    make = authenticator.register if "register" in path else authenticator.sign_in
    house.server.clock.advance(66)
    refused = await person.post(path, back(given, make(given["options"]["challenge"])))
    assert_problem(refused, 400, "VERIFICATION_CODE_EXPIRED")


async def test_an_answer_that_failed_has_used_its_options_up(phone: Person, authenticator: Authenticator):
    await phone.sign_up()
    given = await options(phone, "/passkey/register/options")
    body = back(given, authenticator.register("AAAA"))
    assert_problem(await phone.post("/passkey/register", body), 400, "PASSKEY_REGISTRATION_FAILED")
    right = back(given, authenticator.register(given["options"]["challenge"]))
    assert_problem(await phone.post("/passkey/register", right), 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_options_that_were_tried_too_often_say_so(house: House, phone: Person, authenticator: Authenticator):
    await phone.sign_up()
    await register_passkey(phone, authenticator)
    given = await options(phone, "/passkey/options")
    house.server.store.database.run("update codes set attempts = 20 where code = ?", given["code"])
    body = back(given, authenticator.sign_in(given["options"]["challenge"]))
    assert_problem(await phone.post("/passkey/sign-in", body), 400, "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED")


UNKNOWN = "0" * 45
LONG, DEEP = '"' + "A" * 40_000 + '"', '{"a":' * 300 + "1" + "}" * 300


@pytest.mark.parametrize("value", ["NaN", "1e999", '"\\ud800"', LONG, DEEP], ids=range(5))
async def test_non_json_and_large_values_are_rejected_at_any_depth(phone: Person, value: str):
    """What json does not have or is too large is refused at any depth."""
    credential = f'{{"id": "a", "rawId": "a", "type": "public-key", "response": {{}}, "more": [{value}]}}'
    answer = await phone.post(
        "/passkey/sign-in",
        content=f'{{"credential": {credential}, "code": "{UNKNOWN}"}}',
        headers={"content-type": "application/json"},
    )
    status, code = (413, "request_too_large") if value == LONG else (422, "request_invalid")
    assert_problem(answer, status, code)


async def test_a_code_of_nonsense_is_not_found(phone: Person, authenticator: Authenticator):
    refused = await phone.post("/passkey/sign-in", {"credential": authenticator.sign_in("AAAA"), "code": "0" * 45})
    assert_problem(refused, 404, "VERIFICATION_CODE_NOT_FOUND")


async def test_a_browser_that_asked_for_no_options_is_told_to(browser: Person, authenticator: Authenticator):
    refused = await browser.post("/passkey/sign-in", {"credential": authenticator.sign_in("AAAA")})
    assert_problem(refused, 400, "VERIFICATION_CODE_EXPIRED")
    assert ACCESS not in browser.client.cookies


@pytest.mark.parametrize(
    "credential",
    [
        {}, None, [], "x", 5, {"id": "a"}, {"id": "a", "rawId": "a", "type": "public-key"},
        {"id": "a", "rawId": "a", "type": "public-key", "response": []},
        {"id": 1, "rawId": "a", "type": "public-key", "response": {}},
        {"id": "a", "rawId": "a", "type": "public-key", "response": {"clientDataJSON": "A" * 40_000}},
    ],
    ids=range(10),
)  # fmt: skip
@pytest.mark.parametrize("path", ["/passkey/sign-in", "/passkey/register"])
async def test_what_no_browser_would_send_is_refused_unsent(person: Person, credential: object, path: str):
    await person.sign_up()
    given = await options(person, path.replace("sign-in", "options") + ("/options" if "register" in path else ""))
    answer = await person.post(path, back(given, credential))
    if path == "/passkey/sign-in" and len(str(credential)) > 16 * 1024:  # a limited route takes no such body
        assert_problem(answer, 413, "request_too_large")
    else:
        assert_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize(
    "response", [{}, {"clientDataJSON": "!!"}, {"clientDataJSON": "e30"}, {"clientDataJSON": 5, "signature": None}]
)
async def test_a_useless_credential_is_rejected_without_a_500(person: Person, response: dict[str, Any]):
    """A credential that proves nothing is refused and no server error."""
    await person.sign_up()
    given = await options(person, "/passkey/register/options")
    credential = {"id": "AA", "rawId": "AA", "type": "public-key", "response": response}
    assert_problem(await person.post("/passkey/register", back(given, credential)), 400, "PASSKEY_REGISTRATION_FAILED")


async def test_a_passkey_is_given_up(house: House, person: Person, authenticator: Authenticator):
    await person.sign_up()
    await register_passkey(person, authenticator)
    assert (await person.call("DELETE", "/passkey")).status_code == 204
    assert (await person.call("GET", "/me")).json()["passkey_auth_enabled"] is False
    given = await options(person, "/passkey/options")
    refused = await person.post("/passkey/sign-in", back(given, authenticator.sign_in(given["options"]["challenge"])))
    assert_problem(refused, 400, "PASSKEY_AUTHENTICATION_FAILED")


@pytest.mark.parametrize("path", ["/passkey/options", "/passkey/register/options"])
async def test_a_project_without_passkeys_says_so(house: House, person: Person, path: str):
    await person.sign_up()
    house.server.configure(passkey_enabled=False)
    assert_problem(await person.post(path), 400, "PASSKEY_AUTHENTICATION_NOT_ENABLED")


@pytest.mark.parametrize(("method", "path"), [("POST", "/passkey/register/options"), ("DELETE", "/passkey")])
async def test_only_who_is_signed_in_registers_or_gives_up(person: Person, method: str, path: str):
    assert_problem(await person.call(method, path), 401, "authentication_required")


async def test_the_module_is_served_for_a_browser_to_keep(person: Person):
    answer = await person.client.get(person.path("/passkey.js"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, no-cache"
    assert answer.content == files("fastapi_stackauth.routers.methods").joinpath("passkey.js").read_bytes()
    tag = answer.headers["etag"]
    for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = await person.client.get(person.path("/passkey.js"), headers={"if-none-match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await person.client.get(person.path("/passkey.js"), headers={"if-none-match": '"other"'})
    assert other.status_code == 200


async def test_the_module_loads_nothing_from_other_sites(person: Person):
    """The module asks for nothing from elsewhere and for no looser policy."""
    text = (await person.client.get(person.path("/passkey.js"))).text
    assert "http" not in text.replace("HTTP", "")
    for loose in ("eval(", "innerHTML", "new Function", "style"):
        assert loose not in text


@pytest.fixture
async def other_stack(server: Emulator) -> AsyncIterator[StackAuth]:
    stack = new_stack(server)
    yield stack
    await stack.aclose()


async def test_a_server_that_fills_in_the_host_by_itself_is_overruled(
    server: Emulator, other_stack: StackAuth, monkeypatch: pytest.MonkeyPatch
):
    """Whatever stands there, a page's browser takes its own host alone; other options are passed on as they are."""
    monkeypatch.setattr("fastapi_stackauth.emulator.operations.passkeys.STAND_IN", "elsewhere.example")
    async with House(server, other_stack).person("cookie") as person:
        given = await options(person, "/passkey/options")
        assert given["options"]["rpId"] == "localhost"
        assert set(given["options"]) == {"rpId", "challenge", "allowCredentials", "timeout", "userVerification"}
        assert json.dumps(given)
