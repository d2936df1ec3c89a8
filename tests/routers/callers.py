"""People at an app with both routers: in a browser, whose tokens are cookies, or with an app that keeps them itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from fastapi_stackauth import Grants, StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import Delivery

ORIGIN = "http://localhost:8000"
PREFIXES: dict[str, str] = {"cookie": "/auth", "body": "/api/auth"}
GRANTS = Grants(by="team_admin", grantable={"team_admin", "notes:delete", "notes:pin", "notes:read"})
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
ACCESS, REFRESH, OTP = "stackauth-access", "stackauth-refresh", "stackauth-otp"

_PER_SERVER = {"base_url", "project_id", "publishable_client_key", "secret_server_key"}  # no schema shows them


class Person:
    """Somebody who calls the routes of one delivery, and keeps what they are given as a browser or an app does."""

    def __init__(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        self.client = client
        self.delivery = delivery
        self.tokens: dict[str, Any] = {}
        self.nonce: str | None = None

    def path(self, path: str) -> str:
        """The whole path of a route."""
        return PREFIXES[self.delivery] + path

    async def call(self, method: str, path: str, json: object = None, **options: Any) -> httpx.Response:
        """Call a route, signed in if this person is."""
        headers = {**options.pop("headers", {})}
        if self.delivery == "body" and "access_token" in self.tokens:
            headers.setdefault("authorization", f"Bearer {self.tokens['access_token']}")
        if json is not None:
            options["json"] = json
        return await self.client.request(method, self.path(path), headers=headers, **options)

    async def post(self, path: str, json: object = None, **options: Any) -> httpx.Response:
        """POST to a route."""
        return await self.call("POST", path, json, **options)

    async def sign_in_at(self, path: str, json: object = None) -> dict[str, Any]:
        """Call a route that signs in, and keep what it gives."""
        answer = await self.post(path, json)
        assert answer.status_code == 200, answer.text
        given = dict(answer.json())
        if self.delivery == "body":
            self.tokens = given
        else:
            assert set(given) == {"user_id", "is_new_user"}
            assert self.client.cookies[ACCESS]
        return given

    async def sign_up(self, email: str = EMAIL, password: str = PASSWORD) -> str:
        """Sign up with a password; the id."""
        return str((await self.sign_in_at("/password/sign-up", {"email": email, "password": password}))["user_id"])

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> str:
        """Sign in with a password; the id."""
        return str((await self.sign_in_at("/password/sign-in", {"email": email, "password": password}))["user_id"])

    async def ask_for_code(self, email: str = EMAIL, **more: Any) -> None:
        """Have a code sent."""
        answer = await self.post("/otp/send", {"email": email, **more})
        assert answer.status_code == 200, answer.text
        self.nonce = answer.json().get("nonce")

    def code_body(self, code: str) -> dict[str, str]:
        """What goes with a typed code: an app sends the nonce, a browser has it in a cookie."""
        return {"code": code, **({"nonce": self.nonce} if self.delivery == "body" and self.nonce else {})}

    @property
    def access_token(self) -> str:
        """The access token."""
        return str(self.tokens["access_token"] if self.delivery == "body" else self.client.cookies[ACCESS])

    @property
    def refresh_token(self) -> str:
        """The refresh token."""
        return str(self.tokens["refresh_token"] if self.delivery == "body" else self.client.cookies[REFRESH])


class House:
    """An app with both routers, and the people who call it.

    Args:
        server: the auth server.
        stack: what is installed.
        app: an app with both routers of this stack, if there is one already.
        **router: arguments of `StackAuth.router`.
    """

    def __init__(self, server: Emulator, stack: StackAuth, *, app: FastAPI | None = None, **router: Any) -> None:
        self.server = server
        self.stack = stack
        if app is not None:
            self.app = app
            return
        self.app = FastAPI()
        # `operations` reads the schema of one app for all that are alike.
        self.app.state.alike = (repr(sorted(router.items())), stack.settings.model_dump_json(exclude=_PER_SERVER))
        stack.install(self.app)
        self.app.include_router(stack.router(**router), prefix=PREFIXES["cookie"])
        self.app.include_router(stack.router(delivery="body", **router), prefix=PREFIXES["body"])
        for delivery, prefix in PREFIXES.items():
            teams = stack.teams_router(delivery=delivery, manage_permissions=GRANTS)  # type: ignore[arg-type]
            self.app.include_router(teams, prefix=prefix)
            keys = stack.api_keys_router(delivery=delivery)  # type: ignore[arg-type]
            self.app.include_router(keys, prefix=prefix)
            cli = stack.cli_router(delivery=delivery, pages=None if delivery == "cookie" else {"device": "/device"})  # type: ignore[arg-type]
            self.app.include_router(cli, prefix=prefix)

    @asynccontextmanager
    async def person(self, delivery: Delivery) -> AsyncIterator[Person]:
        """Somebody new."""
        headers = {"origin": ORIGIN} if delivery == "cookie" else {}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
            yield Person(client, delivery)

    def mail(self, kind: str, to: str = EMAIL) -> dict[str, Any]:
        """The newest mail of a kind."""
        return self.server.emails(to, kind)[0]


def new_stack(server: Emulator, **options: Any) -> StackAuth:
    """A stack for cookies on loopback, without limits, that has the server's clock."""
    settings = {
        "project_id": server.project_id,
        "base_url": server.url,
        "app_url": ORIGIN,
        "insecure_cookies": True,
        "publishable_client_key": server.publishable_client_key,
        "rate_limit_address": None,
        "rate_limit_account": None,
        "clock": server.clock.now,
    }
    return StackAuth(**{**settings, **options})


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document = dict(answer.json())
    assert (document["code"], document["status"]) == (code, status)
    return document
