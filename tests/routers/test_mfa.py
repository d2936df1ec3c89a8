"""The second factor after each first one, and how it is switched on and off; codes come from pyotp, as from an app."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import ACCESS, EMAIL, House, Person, assert_problem, new_stack
from tests.routers.flows import code, enroll, find_attempt
from tests.support.redis_server import RedisServer


def wrong(house: House) -> str:
    return "000000" if code(house) != "000000" else "111111"


async def first_factor(house: House, person: Person) -> dict[str, Any]:
    """Sign in with the password; what goes with the code."""
    refused = await person.post("/password/sign-in", {"email": EMAIL, "password": "correct horse battery"})
    return find_attempt(person, refused)


# --- signing in ---


async def test_a_password_and_a_code_sign_in(house: House, person: Person):
    user_id = await enroll(house, person)
    attempt = await first_factor(house, person)
    given = await person.sign_in_at("/mfa/sign-in", {**attempt, "code": code(house)})
    assert (given["user_id"], given["is_new_user"]) == (user_id, False)
    assert (await person.call("GET", "/me")).json()["requires_totp_mfa"] is True
    assert "stackauth-mfa" not in person.client.cookies


async def test_a_mailed_code_and_a_code_sign_in(house: House, person: Person):
    user_id = await enroll(house, person)
    channel = house.server.store.channels.primary(user_id)
    assert channel is not None
    house.server.store.channels.update(channel, {"is_verified": 1})
    await person.ask_for_code()
    refused = await person.post("/otp/sign-in", person.code_body(house.mail("sign_in")["otp"]))
    attempt = find_attempt(person, refused)
    given = await person.sign_in_at("/mfa/sign-in", {**attempt, "code": code(house)})
    assert given["user_id"] == user_id


async def test_a_wrong_code_can_be_tried_again(house: House, person: Person):
    user_id = await enroll(house, person)
    attempt = await first_factor(house, person)
    for _ in range(2):
        refused = await person.post("/mfa/sign-in", {**attempt, "code": wrong(house)})
        assert_problem(refused, 400, "INVALID_TOTP_CODE")
        assert ACCESS not in person.client.cookies
    assert (await person.sign_in_at("/mfa/sign-in", {**attempt, "code": code(house)}))["user_id"] == user_id


async def test_an_attempt_that_took_too_long_says_so(house: House, person: Person):
    await enroll(house, person)
    attempt = await first_factor(house, person)
    house.server.clock.advance(301)
    refused = await person.post("/mfa/sign-in", {**attempt, "code": code(house)})
    assert_problem(refused, 400, "VERIFICATION_CODE_EXPIRED")


async def test_an_attempt_serves_once(house: House, person: Person):
    await enroll(house, person)
    attempt = await first_factor(house, person)
    kept = dict(person.client.cookies)
    await person.sign_in_at("/mfa/sign-in", {**attempt, "code": code(house)})
    again = await person.client.post(
        person.path("/mfa/sign-in"),
        json={**attempt, "code": code(house)},
        headers={"cookie": "; ".join(f"{name}={value}" for name, value in kept.items())},
    )
    assert_problem(again, 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_twenty_tries_are_the_end_of_an_attempt(house: House, person: Person):
    await enroll(house, person)
    attempt = await first_factor(house, person)
    for _ in range(20):
        await person.post("/mfa/sign-in", {**attempt, "code": wrong(house)})
    refused = await person.post("/mfa/sign-in", {**attempt, "code": code(house)})
    assert_problem(refused, 400, "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED")


async def test_without_an_attempt_no_code_signs_in(house: House, person: Person):
    body = {"code": code(house)}
    made_up = {"attempt": "0" * 45} if person.delivery == "body" else {}
    refused = await person.post("/mfa/sign-in", {**body, **made_up})
    assert_problem(refused, 404, "VERIFICATION_CODE_NOT_FOUND")


@pytest.mark.parametrize("digits", ["", "12345", "1234567", "١٢٣٤٥٦", "abcdef", 123456, None])
async def test_what_is_no_code_is_refused(house: House, person: Person, digits: object):
    await enroll(house, person)
    attempt = await first_factor(house, person)
    refused = await person.post("/mfa/sign-in", {**attempt, "code": digits})
    assert refused.status_code in (400, 422)
    assert_problem(refused, refused.status_code, refused.json()["code"])


async def guesses(house: House, person: Person, attempts: int) -> list[int]:
    """Begin so many sign-ins, and guess once at each; the statuses of the guesses."""
    statuses = []
    for _ in range(attempts):
        attempt = await first_factor(house, person)
        refused = await person.post("/mfa/sign-in", {**attempt, "code": wrong(house)})
        statuses.append(refused.status_code)
    return statuses


@pytest.mark.parametrize("keyed", [False, True], ids=["no secret key", "secret key"])
async def test_guesses_count_for_the_account(
    server: Emulator, delivery: Delivery, keyed: bool, monkeypatch: pytest.MonkeyPatch
):
    """Whoever knows the password can begin as many attempts as they like."""
    keys = {"secret_server_key": server.secret_server_key} if keyed else {}
    stack = new_stack(server, rate_limit_account="3/hour", **keys)
    count = stack.limiter.count

    async def count_second_factors(action: str, **who: str | None) -> None:  # the password has a limit of its own
        if action == "mfa_sign_in":
            await count(action, address=who["address"], account=who.get("account"))

    monkeypatch.setattr(stack.limiter, "count", count_second_factors)
    house = House(server, stack)
    async with house.person(delivery) as person:
        await enroll(house, person)
        assert await guesses(house, person, 4) == [400, 400, 400, 429]
        attempt = await first_factor(house, person)
        refused = await person.post("/mfa/sign-in", {**attempt, "code": code(house)})
        assert_problem(refused, 429, "rate_limit_exceeded")
    await stack.aclose()


async def test_an_attempt_of_no_known_account_counts_for_itself(server: Emulator):
    stack = new_stack(server, rate_limit_account="3/hour")
    house = House(server, stack)
    async with house.person("body") as person:
        for expected in (404, 404, 404, 429):
            refused = await person.post("/mfa/sign-in", {"attempt": "0" * 45, "code": "123456"})
            assert refused.status_code == expected
        assert (await person.post("/mfa/sign-in", {"attempt": "1" * 45, "code": "123456"})).status_code == 404
    await stack.aclose()


@pytest.mark.parametrize("change", ["no seal", "no account", "another account", "another attempt", "an old cookie"])
async def test_the_browsers_attempt_counts_only_with_its_seal(server: Emulator, change: str):
    """Else a guesser would leave the account out, or name another for each guess."""
    stack = new_stack(server, secret_server_key=server.secret_server_key)
    house = House(server, stack)
    async with house.person("cookie") as browser:
        await enroll(house, browser)
        await first_factor(house, browser)
        kept = browser.client.cookies["stackauth-mfa"]
        facts = json.loads(base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4)))
        assert set(facts) == {"attempt", "account", "seal"}
        assert EMAIL not in str(facts)
        changed = {
            "no seal": {**facts, "seal": ""},
            "no account": {**facts, "account": ""},
            "another account": {**facts, "account": "0" * 64},
            "another attempt": {**facts, "attempt": facts["attempt"] + "0"},
            "an old cookie": {"attempt": facts["attempt"]},
        }[change]
        forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
        browser.client.cookies.clear()
        refused = await browser.client.post(
            browser.path("/mfa/sign-in"), json={"code": code(house)}, headers={"cookie": f"stackauth-mfa={forged}"}
        )
        assert_problem(refused, 404, "VERIFICATION_CODE_NOT_FOUND")
    await stack.aclose()


async def test_workers_that_share_redis_know_the_account(server: Emulator, redis_server: RedisServer):
    stacks = [new_stack(server, rate_limit_account="3/hour", redis_url=redis_server.url) for _ in range(2)]
    houses = [House(server, stack) for stack in stacks]
    async with houses[0].person("body") as one, houses[1].person("body") as other:
        await enroll(houses[0], one)
        attempts = [await first_factor(houses[0], one) for _ in range(3)]
        for attempt, expected in zip([*attempts, attempts[0]], [400, 400, 400, 429], strict=True):
            refused = await other.post("/mfa/sign-in", {**attempt, "code": wrong(houses[1])})
            assert refused.status_code == expected
    for stack in stacks:
        await stack.aclose()


async def test_guesses_after_code_and_password_count_together(server: Emulator, delivery: Delivery):
    """Guesses after a mailed code count with those after a password."""
    stack = new_stack(server, rate_limit_account="3/hour")
    house = House(server, stack)
    async with house.person(delivery) as person:
        user_id = await enroll(house, person)
        channel = house.server.store.channels.primary(user_id)
        assert channel is not None
        house.server.store.channels.update(channel, {"is_verified": 1})
        assert await guesses(house, person, 2) == [400, 400]
        await person.ask_for_code()
        refused = await person.post("/otp/sign-in", person.code_body(house.mail("sign_in")["otp"]))
        attempt = find_attempt(person, refused)
        for expected in (400, 429):
            refused = await person.post("/mfa/sign-in", {**attempt, "code": wrong(house)})
            assert refused.status_code == expected
    await stack.aclose()


# --- switching it on ---


async def enrol(person: Person) -> tuple[str, dict[str, str]]:
    """Begin; the secret, and what goes back with the first code."""
    answer = await person.post("/mfa/enroll")
    assert answer.status_code == 200, answer.text
    secret = answer.json()["secret"]
    return secret, {"secret": secret} if person.delivery == "body" else {}


async def test_a_first_code_enables_it_and_sign_in_asks_for_one(house: House, person: Person):
    """A first code switches it on and the next sign in asks for one."""
    await person.sign_up()
    secret, back = await enrol(person)
    assert (await person.call("GET", "/me")).json()["requires_totp_mfa"] is False
    assert (await person.post("/mfa/confirm", {**back, "code": pyotp.TOTP(secret).now()})).status_code == 204
    assert (await person.call("GET", "/me")).json()["requires_totp_mfa"] is True
    assert "stackauth-totp" not in person.client.cookies
    async with house.person(person.delivery) as elsewhere:
        attempt = await first_factor(house, elsewhere)
        await elsewhere.sign_in_at("/mfa/sign-in", {**attempt, "code": code(house, secret)})


async def test_the_address_for_the_qr_code_names_project_and_account(house: House, person: Person):
    await person.sign_up()
    answer = (await person.post("/mfa/enroll")).json()
    parts = urlsplit(answer["uri"])
    query = parse_qs(parts.query)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert EMAIL in unquote(parts.path)
    assert query["secret"] == [answer["secret"]]
    assert query["issuer"] == [house.server.project.display_name]
    assert len(base64.b32decode(answer["secret"])) == 20


async def test_no_script_reads_the_pending_secret(browser: Person):
    """The browser keeps the pending secret where no script reads it."""
    await browser.sign_up()
    answer = await browser.post("/mfa/enroll")
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("stackauth-totp=")
    assert "HttpOnly" in cookie
    assert answer.json()["secret"] not in cookie


async def test_a_wrong_first_code_can_be_tried_again(person: Person):
    """A wrong first code switches nothing on and can be tried again."""
    await person.sign_up()
    secret, back = await enrol(person)
    refused = await person.post("/mfa/confirm", {**back, "code": f"{(int(pyotp.TOTP(secret).now()) + 1) % 10**6:06}"})
    assert_problem(refused, 400, "INVALID_TOTP_CODE")
    assert (await person.call("GET", "/me")).json()["requires_totp_mfa"] is False
    assert (await person.post("/mfa/confirm", {**back, "code": pyotp.TOTP(secret).now()})).status_code == 204


async def test_a_confirmation_without_a_beginning_is_refused(browser: Person):
    await browser.sign_up()
    assert_problem(await browser.post("/mfa/confirm", {"code": "123456"}), 400, "VERIFICATION_CODE_EXPIRED")


@pytest.mark.parametrize("secret", ["A" * 31, "A" * 33, "a" * 32, "0" * 32, "A" * 31 + "=", None, 5])
async def test_an_app_sends_back_a_secret_of_the_form_it_was_given(phone: Person, secret: object):
    await phone.sign_up()
    assert_problem(await phone.post("/mfa/confirm", {"secret": secret, "code": "123456"}), 422, "request_invalid")


async def test_a_cookie_of_nonsense_is_a_wrong_code(browser: Person):
    await browser.sign_up()
    for facts in ("eyJzZWNyZXQiOiIhISEifQ", "eyJzZWNyZXQiOiJBIn0"):
        browser.client.cookies.set("stackauth-totp", facts, domain="localhost.local", path="/")
        answer = await browser.client.post(
            browser.path("/mfa/confirm"),
            json={"code": "123456"},
            headers={"cookie": f"stackauth-access={browser.access_token}; stackauth-refresh={browser.refresh_token}; "
                     f"stackauth-totp={facts}"},
        )  # fmt: skip
        assert_problem(answer, 400, "INVALID_TOTP_CODE")


# --- switching it off, and putting another in its place ---


async def switched_on(house: House, person: Person) -> None:
    await person.sign_up()
    secret, back = await enrol(person)
    assert (await person.post("/mfa/confirm", {**back, "code": pyotp.TOTP(secret).now()})).status_code == 204


async def test_after_a_fresh_sign_in_it_is_switched_off(house: House, person: Person):
    await switched_on(house, person)
    assert (await person.post("/mfa/disable")).status_code == 204
    assert (await person.call("GET", "/me")).json()["requires_totp_mfa"] is False


async def test_a_sign_in_of_long_ago_must_be_repeated(house: House, person: Person):
    await switched_on(house, person)
    house.server.clock.advance(599)
    if person.delivery == "body":
        await refresh(person)
    assert (await person.call("GET", "/me")).status_code == 200
    house.server.clock.advance(2)
    refused = await person.post("/mfa/disable")
    document = assert_problem(refused, 401, "reauthentication_required")
    assert document["details"] == {"max_age": 600}
    challenge = 'Bearer error="insufficient_user_authentication", max_age="600"'
    assert refused.headers["www-authenticate"] == challenge
    assert (await person.call("GET", "/me")).json()["requires_totp_mfa"] is True


async def refresh(phone: Person) -> None:
    answer = await phone.post("/session/refresh", {"refresh_token": phone.refresh_token})
    phone.tokens["access_token"] = answer.json()["access_token"]


async def test_a_second_secret_needs_a_recent_sign_in(house: House, person: Person):
    """Else whoever finds a session open could lock its owner out."""
    await switched_on(house, person)
    house.server.clock.advance(601)
    if person.delivery == "body":
        await refresh(person)
    secret, back = await enrol(person)
    refused = await person.post("/mfa/confirm", {**back, "code": pyotp.TOTP(secret).now()})
    assert_problem(refused, 401, "reauthentication_required")


@pytest.mark.parametrize("path", ["/mfa/enroll", "/mfa/disable"])
async def test_only_who_is_signed_in_switches_anything(person: Person, path: str):
    assert_problem(await person.post(path), 401, "authentication_required")


async def test_a_secret_key_alone_serves_the_second_factor_as_well(keyed_house: House, person: Person):
    async with keyed_house.person(person.delivery) as keyed:
        await switched_on(keyed_house, keyed)
        assert (await keyed.post("/mfa/disable")).status_code == 204
