"""A fake auth server, a small ASGI app: its keys, `/users/me` and the sessions, each with a switch."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from tests.support.forge import SESSION, SUBJECT, Signer, key_set

JSON = [(b"content-type", b"application/json; charset=utf-8")]


class FakeAuthServer:
    """Answers as switched.

    Attributes:
        signers: whose keys are published.
        keys: how the key endpoint behaves: ok, 503, hang, slow, junk, empty, none (no body), refused or old.
        me: how `/users/me` and the sessions behave: ok, 503, hang, gone, expired, unparsable, project, keys or text.
        subject: whose account `/users/me` shows.
        sessions: the ids of the sessions that exist.
        began: when they began, in unix seconds.
        gate: while it is closed, `slow` answers wait; what they say is settled before.
        headers: extra headers of the key endpoint.
        requests: every request, as (path, query, headers).
    """

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.keys = "ok"
        self.me = "ok"
        self.subject = SUBJECT
        self.sessions = [SESSION]
        self.began = 0.001
        self.gate = asyncio.Event()
        self.headers: list[tuple[bytes, bytes]] = []
        self.requests: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.at_once = self.most_at_once = 0

    def count(self, ending: str) -> int:
        """How many requests went to paths with this ending."""
        return sum(path.endswith(ending) for path, _, _ in self.requests)

    @property
    def key_fetches(self) -> int:
        """How often the keys were asked for."""
        return self.count("/jwks.json")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        self.requests.append((scope["path"], query, headers))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            status, extra, body = await self._answer(scope["path"], query)
        finally:
            self.at_once -= 1
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if path.endswith("/jwks.json"):
            return await self._keys(query)
        if path.endswith("/current/refresh"):  # it keeps no sessions that could be renewed
            return _known_error(401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
        await asyncio.sleep(0)
        if self.me == "hang":
            await asyncio.Event().wait()
        if self.me == "slow":
            await self.gate.wait()
        if self.me in _REFUSALS:
            status, code = _REFUSALS[self.me]
            return _known_error(status, code) if code else (status, [], b"not today")
        if path.endswith("/sessions"):
            return _json({"items": [self._session(name) for name in self.sessions], "is_paginated": False})
        return _json({"id": self.subject, "primary_email": "ada@example.com", "client_metadata": {"theme": "dark"}})

    async def _keys(self, query: dict[str, list[str]]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if self.keys == "hang":
            await asyncio.Event().wait()
        published = key_set(*self.signers)
        if self.keys == "slow":
            await self.gate.wait()
        if self.keys == "old" and query:
            return _known_error(400, "SCHEMA_ERROR")
        if self.keys == "refused":
            raise ConnectionResetError  # `Line` makes of it what a network would
        odd = {"503": (503, b"down"), "junk": (200, b"<html>\xff"), "empty": (200, b'{"keys":[]}'), "none": (200, b"")}
        if self.keys in odd:
            status, body = odd[self.keys]
            return status, [], body
        status, headers, body = _json(published)
        return status, [*headers, *self.headers], body

    def _session(self, name: str) -> dict[str, Any]:
        began = int(self.began * 1000)
        return {"id": name, "user_id": SUBJECT, "created_at": began, "is_impersonation": False, "last_used_at": None}


_REFUSALS: dict[str, tuple[int, str]] = {
    "503": (503, ""),
    "text": (401, ""),
    "gone": (400, "CANNOT_GET_OWN_USER_WITHOUT_USER"),
    "expired": (401, "ACCESS_TOKEN_EXPIRED"),
    "unparsable": (401, "UNPARSABLE_ACCESS_TOKEN"),
    "project": (401, "INVALID_PROJECT_FOR_ACCESS_TOKEN"),
    "keys": (401, "INVALID_PUBLISHABLE_CLIENT_KEY"),
    "unknown-project": (400, "CURRENT_PROJECT_NOT_FOUND"),
}


def _json(value: object) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return 200, JSON, json.dumps(value).encode()


def _known_error(status: int, code: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    body = json.dumps({"code": code, "error": "said by the fake"}).encode()
    return status, [*JSON, (b"x-stack-known-error", code.encode())], body


def kids(count: int, start: int = 0) -> Iterable[str]:
    """Key ids that nobody has."""
    return (f"nobody-{number}" for number in range(start, start + count))
