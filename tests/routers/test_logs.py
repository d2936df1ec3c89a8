"""The logs of a full run of all flows, at DEBUG, with uvicorn's access log and httpx's own lines: no secret in them."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
import uvicorn
from fastapi import FastAPI

from fastapi_stackauth import AuthEvent
from fastapi_stackauth.routers import Delivery
from tests.emulator.authenticator import Authenticator
from tests.routers.callers import EMAIL, ORIGIN, PASSWORD, House, Person
from tests.routers.flows import CHALLENGE, VERIFIER, at_the_provider, begin

OTHER_PASSWORD, NEW_EMAIL = "another battery staple", "ada@example.org"


@asynccontextmanager
async def at_a_real_server(app: FastAPI, delivery: Delivery) -> AsyncIterator[Person]:
    """Somebody who calls an app on uvicorn that logs whatever it can."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, log_level="debug", access_log=True, lifespan="off")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve([listener]))
    url = f"http://localhost:{listener.getsockname()[1]}"
    headers = {"origin": ORIGIN} if delivery == "cookie" else {}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            yield Person(client, delivery)
    finally:
        running.should_exit = True
        await task
        listener.close()


async def all_flows(house: House, person: Person) -> list[str]:
    """Go through every flow; the secrets on the way."""
    secrets = [PASSWORD, OTHER_PASSWORD]

    def note(*more: str | None) -> None:
        secrets.extend(secret for secret in (*more, person.access_token, person.refresh_token) if secret)

    await person.sign_in_at("/anonymous/sign-up")
    note()
    await person.sign_up()
    note(house.mail("email_verification")["code"])
    await person.post("/password/sign-in", {"email": EMAIL, "password": PASSWORD + "?"})
    await person.call("GET", f"/verify-email?code={house.mail('email_verification')['code']}")
    await person.post("/verify-email", {"code": house.mail("email_verification")["code"]})
    await person.post("/session/refresh", {"refresh_token": person.refresh_token})
    await person.call("GET", "/me")
    await person.call("GET", "/sessions")
    await person.post("/contact-channels", {"value": NEW_EMAIL})
    update = {"old_password": PASSWORD, "new_password": OTHER_PASSWORD}
    if person.delivery == "body":
        update["refresh_token"] = person.refresh_token
    assert (await person.post("/password/update", update)).status_code == 204
    await person.post("/password/forgot", {"email": EMAIL})
    reset = house.mail("password_reset")["code"]
    note(reset)
    await person.call("GET", f"/password/reset?code={reset}")
    await person.post("/password/reset/check", {"code": reset})
    assert (await person.post("/password/reset", {"code": reset, "password": PASSWORD})).status_code == 204
    await person.ask_for_code()
    mail = house.mail("sign_in")
    note(mail["code"], mail["otp"], mail["code"][6:])
    await person.call("GET", f"/magic-link/callback?code={mail['code']}")
    await person.post("/otp/check", person.code_body(mail["otp"]))
    await person.ask_for_code()
    mail = house.mail("sign_in")
    await person.sign_in_at("/otp/sign-in", person.code_body(mail["otp"]))
    note(mail["code"], mail["otp"], mail["code"][6:])
    secret = (await person.post("/mfa/enroll")).json()["secret"]
    confirmation = {"code": pyotp.TOTP(secret).now()}
    await person.post("/mfa/confirm", {**confirmation, **({"secret": secret} if person.delivery == "body" else {})})
    note(secret)
    await person.post("/sign-out", {"refresh_token": person.refresh_token})
    refused = await person.post("/password/sign-in", {"email": EMAIL, "password": PASSWORD})
    attempt = refused.json().get("details", {})
    secrets += list(attempt.values())
    await person.post("/mfa/sign-in", {**attempt, "code": "000000"})
    await person.sign_in_at("/mfa/sign-in", {**attempt, "code": pyotp.TOTP(secret).now()})
    note()
    await person.post("/sign-out", {"refresh_token": person.refresh_token})
    person.tokens = {}
    secrets += await oauth_flow(person) if person.delivery == "cookie" else await oauth_flow_of_app(person)
    return secrets + await passkey_flow(house, person)


async def passkey_flow(house: House, person: Person) -> list[str]:
    """Sign in by a mailed code, set a password, register a passkey and sign in with it; the secrets on the way."""
    email, password, authenticator = "grace@example.com", "a third horse battery", Authenticator(ORIGIN)
    person.tokens = {}
    person.client.cookies.clear()
    await person.ask_for_code(email)
    code = house.mail("sign_in", email)["code"]
    await person.sign_in_at("/otp/sign-in", {"code": code})
    secrets = [password, code, person.access_token, person.refresh_token]
    assert (await person.post("/password/set", {"password": password})).status_code == 204
    for begin_at, end_at, make in (
        ("/passkey/register/options", "/passkey/register", authenticator.register),
        ("/passkey/options", "/passkey/sign-in", authenticator.sign_in),
    ):
        given = (await person.post(begin_at)).json()
        challenge = given["options"]["challenge"]
        more = {"code": given["code"]} if "code" in given else {}
        answer = await person.post(end_at, {"credential": make(challenge), **more})
        assert answer.status_code == 200, answer.text
        secrets += [challenge, *more.values()]
    return secrets


async def oauth_flow_of_app(phone: Person) -> list[str]:
    """Sign in at a provider from an app that keeps its own verifier; the secrets on the way."""
    redirect = "http://127.0.0.1:7777/back"
    body = {"redirect_uri": redirect, "state": "a-state-of-the-app", "code_challenge": CHALLENGE}
    location = (await phone.post("/oauth/github/start", body)).json()["location"]
    async with httpx.AsyncClient() as internet:
        back = urlsplit(await at_the_provider(internet, location, email="app@example.com"))
    code = parse_qs(back.query)["code"][0]
    given = await phone.sign_in_at("/oauth/finish", {"code": code, "redirect_uri": redirect, "code_verifier": VERIFIER})
    return [code, VERIFIER, given["access_token"], given["refresh_token"]]


async def oauth_flow(browser: Person) -> list[str]:
    """Sign a guest in at a provider; the secrets on the way."""
    await browser.sign_in_at("/anonymous/sign-up")
    guest = browser.access_token
    async with httpx.AsyncClient() as internet:
        back = urlsplit(await at_the_provider(internet, await begin(browser), email="guest@example.com"))
    answer = await browser.client.get(f"{back.path}?{back.query}")
    assert answer.status_code == 303
    query = parse_qs(back.query)
    return [guest, query["code"][0], query["state"][0], browser.access_token, browser.refresh_token]


@pytest.mark.parametrize("keyed", [False, True], ids=["publishable-key", "secret-key"])
async def test_no_token_code_password_or_key_is_ever_logged(
    house: House, keyed_house: House, delivery: Delivery, keyed: bool, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "httpcore")  # at DEBUG it writes all headers, this client's cookies too
    caplog.set_level(logging.DEBUG)  # last: it sets what caplog itself lets through
    place = keyed_house if keyed else house
    heard: list[AuthEvent] = []
    place.stack.events.on()(heard.append)
    async with at_a_real_server(place.app, delivery) as person:
        secrets = await all_flows(place, person)
    secrets += [place.server.publishable_client_key, place.server.secret_server_key]
    logging.getLogger("fastapi_stackauth.routers").debug("the last line")
    written = "\n".join(caplog.handler.format(record) for record in caplog.records)
    assert "the last line" in written, "lines at DEBUG are searched"
    assert "HTTP Request: POST" in written, "httpx's lines are among them"
    assert '/password/reset?code=[redacted] HTTP/1.1" 200' in written, "and uvicorn's"
    assert [secret for secret in secrets if secret in written] == []
    told = "\n".join([*map(repr, heard), *map(repr, place.stack.events.counts())])
    assert {"sign_in_succeeded", "sign_in_failed", "session_ended", "auth_server_call"} <= {each.name for each in heard}
    users = [user["id"] for user in place.server.store.users.in_order(place.server.project_id)]
    assert [private for private in (*secrets, *users, EMAIL, NEW_EMAIL, "127.0.0.1") if private in told] == []
