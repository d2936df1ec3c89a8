"""The auth server of the benchmarks, in a process of its own: keys, an OpenID configuration, and `/users/me`.

It answers at once and knows nobody, so a call to it costs the least that such a call can cost. What it publishes is
said to it over `/control`.
"""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
import uvicorn

from tests.support.redis_server import free_port
from tests.support.server import JSON

ISSUER = "https://tenant.test/"
"""Of the RS256 tokens: one peer insists on https, even where its keys come over http."""


class BenchmarkAuthServer:
    """Publishes the key set it was told to, or fails on purpose."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.rsa_keys: list[dict[str, Any]] = []
        self.failing = False
        self.origin = ""
        self.calls = {"keys": 0, "me": 0}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        status, body = self._answer(scope, await _body(receive))
        headers = [*JSON, (b"x-stack-known-error", body["code"].encode())] if "code" in body else JSON
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    def _answer(self, scope: Any, body: bytes) -> tuple[int, Any]:
        path = scope["path"]
        if path == "/control":
            for name, value in json.loads(body or b"{}").items():
                setattr(self, name, value)
            return 200, self.calls
        if path.endswith("/openid-configuration"):
            return 200, {
                "issuer": ISSUER,
                "jwks_uri": f"{self.origin}/rsa/jwks.json",
                "authorization_endpoint": f"{self.origin}/authorize",
                "token_endpoint": f"{self.origin}/token",
            }
        if path.endswith("/refresh"):
            return 401, {"code": "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", "error": "no such session"}
        asked = "keys" if path.endswith("jwks.json") else "me"
        self.calls[asked] += 1
        if self.failing:
            return 503, {"error": "not now"}
        if asked == "keys":
            return 200, {"keys": self.rsa_keys if path.startswith("/rsa/") else self.keys}
        return 200, _permissions(scope) if path.endswith("-permissions") else _user(scope)


def _permissions(scope: Any) -> dict[str, Any]:
    """Whatever permission is asked for is granted."""
    wanted = parse_qs(scope["query_string"].decode())["permission_id"]
    return {"items": [{"id": wanted[0], "user_id": "me"}], "is_paginated": False}


def _user(scope: Any) -> dict[str, Any]:
    """The user of the token, unverified: what the real server looks up is no part of what is measured."""
    token = next((value for name, value in scope["headers"] if name == b"x-stack-access-token"), b"..")
    payload = token.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)) or b"{}")
    return {"id": claims.get("sub"), "primary_email": claims.get("email"), "display_name": claims.get("name")}


async def _body(receive: Any) -> bytes:
    message = await receive()
    return bytes(message.get("body", b""))


async def _lifespan(receive: Any, send: Any) -> None:
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


@dataclass
class Running:
    """A running auth server, seen from outside."""

    origin: str

    def control(self, **changes: Any) -> dict[str, int]:
        """Change what it publishes; return how often it was asked for keys and for users."""
        answer = httpx.post(f"{self.origin}/control", json=changes)
        return dict(answer.raise_for_status().json())


@contextmanager
def auth_server() -> Iterator[Running]:
    """An auth server while the block runs."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.auth_server", str(port)]
    process = subprocess.Popen(command)
    try:
        running = Running(f"http://127.0.0.1:{port}")
        wait_for(f"{running.origin}/control")
        running.control(origin=running.origin)
        yield running
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str) -> None:
    """Wait until somebody answers there."""
    transport = httpx.HTTPTransport(retries=20)  # with a growing pause between them
    with httpx.Client(transport=transport, timeout=30) as client:
        client.get(url)


if __name__ == "__main__":
    config = uvicorn.Config(
        BenchmarkAuthServer(), port=int(sys.argv[1]), log_level="warning", access_log=False, timeout_keep_alive=600
    )
    asyncio.run(uvicorn.Server(config).serve())
