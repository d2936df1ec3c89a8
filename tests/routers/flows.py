"""Steps of sign-in flows that several test modules take: second factors, OAuth, passkeys, forms."""

import base64
import hashlib
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp

from tests.emulator.authenticator import Authenticator
from tests.routers.callers import ACCESS, EMAIL, ORIGIN, REFRESH, House, Person, assert_problem

SECRET = pyotp.random_base32()


def code(house: House, secret: str = SECRET) -> str:
    """What an authenticator app shows now, by the auth server's clock."""
    return pyotp.TOTP(secret).at(int(house.server.clock.now()))


async def enroll(house: House, person: Person) -> str:
    """An account with a second factor, signed out; its id."""
    user_id = await person.sign_up()
    key = base64.b64encode(base64.b32decode(SECRET)).decode()
    house.server.store.users.update(user_id, {"totp_secret": key, "requires_totp_mfa": 1})
    await person.post("/sign-out", {"refresh_token": person.refresh_token} if person.delivery == "body" else None)
    person.tokens = {}
    return user_id


def find_attempt(person: Person, refused: httpx.Response) -> dict[str, Any]:
    document = assert_problem(refused, 403, "mfa_required")
    assert ACCESS not in person.client.cookies
    if person.delivery == "body":
        return {"attempt": document["details"]["attempt"]}
    assert "details" not in document, "the attempt rides in a cookie"
    return {}


VERIFIER = "verifier-verifier-verifier-verifier-verifier"
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


async def begin(person: Person, provider: str = "github", **query: str) -> str:
    """Press "sign in with ..."; where the browser is sent."""
    answer = await person.client.get(person.path(f"/oauth/{provider}/authorize"), params=query)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def at_the_provider(internet: httpx.AsyncClient, location: str, **form: str) -> str:
    """Fill in the provider's page; where the auth server sends the browser at last."""
    state = parse_qs(urlsplit(location).query)["state"][0]
    answer = await internet.post(location, data={"state": state, "answer": "allow", "email": EMAIL, **form})
    assert answer.status_code == 303, answer.text
    back = await internet.get(answer.headers["location"])
    assert back.status_code in (303, 307), back.text
    return str(back.headers["location"])


async def come_back(person: Person, address: str) -> httpx.Response:
    """Let the browser follow the last redirect, into the app; from another site, as a navigation."""
    assert address.startswith(ORIGIN + person.path("/oauth/callback/"))
    return await person.client.get(address, headers={"sec-fetch-site": "cross-site", "origin": ""})


async def signed_in(person: Person, internet: httpx.AsyncClient, provider: str = "github", **form: str) -> str:
    """Go through the whole flow; the id of who is signed in."""
    answer = await come_back(person, await at_the_provider(internet, await begin(person, provider), **form))
    assert answer.status_code == 303, answer.text
    return str((await person.call("GET", "/me")).json()["id"])


def error_in(answer: httpx.Response, return_to: str = "/notes") -> str:
    """The code that the browser is sent back with; no session was begun."""
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    assert target._replace(query="").geturl() == return_to
    assert not any(cookie.startswith((ACCESS, REFRESH)) for cookie in answer.headers.get_list("set-cookie"))
    assert answer.headers["cache-control"] == "no-store"
    return parse_qs(target.query)["error"][0]


async def stolen(browser: Person, internet: httpx.AsyncClient, **form: str) -> str:
    """An address that leads back, of a flow that this browser began."""
    return await at_the_provider(internet, await begin(browser, return_to="/notes"), **form)


async def options(person: Person, path: str, **headers: str) -> dict[str, Any]:
    """Ask for options, as a page of the app does."""
    answer = await person.post(path, headers={"origin": ORIGIN, **headers})
    assert answer.status_code == 200, answer.text
    given = dict(answer.json())
    assert ("code" in given) is (person.delivery == "body")
    return given


def back(given: dict[str, Any], credential: object) -> dict[str, Any]:
    """What is sent back: the credential, and in body delivery the code."""
    return {"credential": credential, **({"code": given["code"]} if "code" in given else {})}


async def register_passkey(person: Person, authenticator: Authenticator) -> None:
    given = await options(person, "/passkey/register/options")
    answer = await person.post("/passkey/register", back(given, authenticator.register(given["options"]["challenge"])))
    assert answer.status_code == 200, answer.text
    assert answer.json()["user_handle"]


FORM = "?on_success=/notes&on_error=/sign-in?return_to=%2Fnotes"


async def submit(browser: Person, path: str, fields: dict[str, str] | None = None, query: str = FORM) -> httpx.Response:
    """Post as a browser posts a form."""
    content = httpx.QueryParams(fields or {}).__str__()
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    return await browser.client.post(browser.path(path) + query, content=content, headers=headers)
