"""What a sign-in route and a call of the client cost beside the same call with plain httpx.

The auth server is a transport that responds at once, so that only the code of both sides counts.
"""

import json
from itertools import repeat
from typing import Any

import httpx
from fastapi import FastAPI, Response
from pydantic import BaseModel
from starlette.types import ASGIApp

from fastapi_stackauth import Require, StackAuth
from fastapi_stackauth.routers import Delivery
from tests.benchmarks.contenders import APP_URL, PERMISSION, Contender, Headers, app_with, bearer, make_stack
from tests.support.forge import BASE, PROJECT, SUBJECT

KEY = "sk_a31zra81g42pxw7jy92y5b91gdh3tgy26zbdf5tmg91yg378f9b70e609401e83f96bd71db14249user1574ck4u7had7e1d3f"
CREDENTIALS = json.dumps({"email": "ada@example.com", "password": "correct horse battery"}).encode()
PAIRS = {
    "sign-in, tokens in the body": "plain sign-in, tokens in the body",
    "sign-in, tokens in cookies": "plain sign-in, tokens in cookies",
    "call of the client": "call with plain httpx",
}
"""Each of ours, and what it is compared with."""
_PROFILE: dict[str, Any] = {
    "id": SUBJECT, "primary_email": "ada@example.com", "primary_email_verified": True, "display_name": "Ada Lovelace",
    "is_anonymous": False, "is_restricted": False, "restricted_reason": None, "passkey_auth_enabled": False,
    "otp_auth_enabled": True, "requires_totp_mfa": False, "selected_team_id": None, "selected_team": None,
    "oauth_providers": [], "auth_with_email": True, "has_password": True, "signed_up_at_millis": 1795434452696,
    "profile_image_url": None, "client_read_only_metadata": None, "client_metadata": None, "server_metadata": None,
    "last_active_at_millis": 1795434452696,
}  # fmt: skip
_KEY_INFO = {
    "user_id": SUBJECT, "type": "user", "value": {"last_four": "1d3f"}, "is_public": False, "description": "key",
    "created_at_millis": 1795434465723, "id": "378f9b70-e609-401e-83f9-6bd71db14249",
}  # fmt: skip


class Instant(httpx.AsyncBaseTransport):
    """An auth server that responds at once.

    Args:
        token: the access token of each sign-in.
    """

    def __init__(self, token: str) -> None:
        permission = {"items": [{"id": PERMISSION, "user_id": "me"}], "is_paginated": False}
        signed_in = {"access_token": token, "refresh_token": "r" * 45, "user_id": SUBJECT, "is_new_user": False}
        self._bodies = {
            "sign-in": json.dumps(signed_in).encode(),
            "project-permissions": json.dumps(permission).encode(),
            "check": json.dumps(_KEY_INFO).encode(),
        }
        self._other = json.dumps(_PROFILE).encode()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond to a request by the last part of its path."""
        body = self._bodies.get(request.url.path.rpartition("/")[2], self._other)
        return httpx.Response(200, headers={"content-type": "application/json"}, content=body)


def make(jwks: Any, token: str, never_refused: Headers) -> list[Contender]:
    """Return requests whose user is known without the network, sign-ins, and calls of the client."""
    instant = Instant(token)
    limits = {"rate_limit_address": "10000/minute", "rate_limit_account": "10000/minute"}  # counted, never reached
    options = {"secret_server_key": "ssk_benchmark", "app_url": APP_URL, **limits}
    stack = make_stack(BASE, jwks=jwks, transport=instant, **options)
    by_key = app_with(stack, Require(allow_api_key=True))
    key: Headers = [(b"host", b"app.test"), (b"accept", b"*/*"), (b"x-api-key", KEY.encode())]
    return [
        Contender("with a permission", app_with(stack, Require(permission=PERMISSION)), repeat(bearer(token))),
        Contender("API key", by_key, repeat(key), never_refused),
        *_calls(stack, instant, token),
    ]


def _calls(stack: StackAuth, instant: Instant, token: str) -> list[Contender]:
    plain, own = _plain(instant, token), FastAPI()
    stack.install(own)

    @own.get("/call")
    async def call() -> Any:
        user = await stack.client.as_user(token).users.me()
        return {"id": user.id}

    origin = (b"origin", APP_URL.encode())
    json_headers: Headers = [(b"host", b"app.test"), (b"content-type", b"application/json"), origin]
    apps = {
        "sign-in, tokens in the body": _post(_router(stack, "body"), "/auth/password/sign-in"),
        "plain sign-in, tokens in the body": _post(plain, "/body"),
        "sign-in, tokens in cookies": _post(_router(stack, "cookie"), "/auth/password/sign-in"),
        "plain sign-in, tokens in cookies": _post(plain, "/cookies"),
        "call of the client": _post(own, "/call", method="GET"),
        "call with plain httpx": _post(plain, "/call", method="GET"),
    }
    return [Contender(name, app, repeat(json_headers), by="calls") for name, app in apps.items()]


def _router(stack: StackAuth, delivery: Delivery) -> FastAPI:
    """Return an app with the routes of passwords and sessions, so that few routes are compared with few."""
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(delivery=delivery, include={"password"}), prefix="/auth")
    return app


class _SignIn(BaseModel):
    email: str
    password: str


def _plain(instant: Instant, token: str) -> FastAPI:
    """Return the routes that an app would write with httpx alone."""
    app, client = FastAPI(), httpx.AsyncClient(transport=instant)
    address = f"{BASE}/api/v1/auth/password/sign-in"
    headers = {"x-stack-project-id": PROJECT, "x-stack-access-type": "client", "x-stack-publishable-client-key": "pck"}

    async def sign_in(body: _SignIn) -> dict[str, str]:
        response = await client.post(address, json=body.model_dump(), headers=headers)
        response.raise_for_status()
        tokens: dict[str, str] = response.json()
        return tokens

    @app.post("/body")
    async def sign_in_of_app(body: _SignIn) -> dict[str, Any]:
        return await sign_in(body)

    @app.post("/cookies")
    async def sign_in_of_browser(body: _SignIn, response: Response) -> dict[str, Any]:
        tokens = await sign_in(body)
        for name in ("access_token", "refresh_token"):
            response.set_cookie(f"__Host-{name}", tokens[name], secure=True, httponly=True, samesite="lax")
        return {"user_id": tokens["user_id"]}

    @app.get("/call")
    async def call() -> Any:
        me = await client.get(f"{BASE}/api/v1/users/me", headers={**headers, "x-stack-access-token": token})
        me.raise_for_status()
        return {"id": me.json()["id"]}

    return app


def _post(app: ASGIApp, path: str, *, method: str = "POST") -> ASGIApp:
    """Return an app that takes each request as one of this method to this path, with the credentials as the body."""

    async def send_credentials(scope: Any, _receive: Any, send: Any) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": CREDENTIALS if method == "POST" else b"", "more_body": False}

        await app({**scope, "path": path, "raw_path": path.encode(), "method": method}, receive, send)

    return send_credentials
