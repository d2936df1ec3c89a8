"""A user who goes through every flow, and the secrets on the way."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp

from tests.emulator.authenticator import Authenticator
from tests.routers.callers import EMAIL, ORIGIN, PASSWORD, House, Person
from tests.routers.flows import CHALLENGE, VERIFIER, at_the_provider, begin

OTHER_PASSWORD, NEW_EMAIL = "another battery staple", "ada@example.org"


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
