"""The people of a drill: each calls the app in turn through both workers, and looks at who the answer says they are.

What may happen to them: 200 with their own id, or an answer of status 502 or 503 that the app's schema documents.
Anything else is kept as a violation.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from fastapi_stackauth.models import AccessToken

Kind = Literal["bearer", "cookie"]
ORIGIN = "http://localhost:8000"
PASSWORD = "correct horse battery"
COOKIES = {"stackauth-access", "stackauth-refresh"}
_STEPS = (("GET", "/me"), ("GET", "/hello"), ("GET", "/profile"), ("POST", "/me"))
_SIGN_IN_EVERY = 25


@dataclass
class Tally:
    """What was answered.

    Attributes:
        documented: method, path, status and code of every error that the app's schema names.
        answers: how often each status and code was answered.
        violations: what must never happen.
    """

    documented: frozenset[tuple[str, str, int, str]]
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.answers.total()

    def count(self, method: str, path: str, answer: httpx.Response) -> str:
        """Count an answer; its code, empty for a success."""
        code = "" if answer.is_success else _code(answer)
        self.answers[answer.status_code, code] += 1
        if answer.is_server_error and (method, path, answer.status_code, code) not in self.documented:
            self.violations.append(f"{method} {path}: {answer.status_code} {code!r} is not documented")
        return code

    def __str__(self) -> str:
        parts = [f"{status} {code}".strip() + f": {count}" for (status, code), count in sorted(self.answers.items())]
        return ", ".join(parts)


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return "?"


class Person:
    """Somebody with an account of their own, signed in from the beginning to the end.

    Args:
        number: makes the e-mail address.
        kind: how their tokens travel.
        workers: base URLs of the workers, called in turn.
        transport: carries the requests of all.
        tally: where answers are counted.
    """

    renew_at: tuple[str, ...] = ("token_expired",)
    """The refusals at which the access token is renewed, of those whose tokens are bearers."""

    def __init__(
        self, number: int, kind: Kind, workers: Sequence[str], transport: httpx.AsyncBaseTransport, tally: Tally
    ) -> None:
        self.email = f"person{number}@example.com"
        self.kind = kind
        self.tally = tally
        self.id = ""
        self.tokens: dict[str, str] = {}
        self.served_at = 0.0
        self.unwell_at = 0.0
        first = number % len(workers)
        self._workers: Iterator[str] = itertools.cycle([*workers[first:], *workers[:first]])
        self._client = httpx.AsyncClient(transport=transport, timeout=30)
        self._steps = itertools.count(number)

    def __str__(self) -> str:
        return f"{self.email} ({self.kind})"

    @property
    def _prefix(self) -> str:
        return "/auth" if self.kind == "cookie" else "/api/auth"

    async def call(self, method: str, path: str, json: object = None) -> tuple[httpx.Response, str]:
        """Call the next worker; the answer and its code."""
        headers = {"origin": ORIGIN}
        if self.kind == "bearer" and self.tokens:
            headers["authorization"] = f"Bearer {self.tokens['access_token']}"
        answer = await self._client.request(method, next(self._workers) + path, json=json, headers=headers)
        return answer, self.tally.count(method, path, answer)

    def violation(self, what: str, answer: httpx.Response) -> None:
        """Keep what must not happen."""
        self.tally.violations.append(f"{self}: {what}: {answer.status_code} {answer.text[:200]}")

    async def sign_up(self) -> None:
        """Make the account, which signs in."""
        await self.enter("sign-up")
        assert self.id, self.tally.violations

    async def enter(self, action: str = "sign-in") -> bool:
        """Sign in or up; whether that worked."""
        tokens, self.tokens = self.tokens, {}  # a sign-in needs no credential
        path = f"{self._prefix}/password/{action}"
        answer, _ = await self.call("POST", path, {"email": self.email, "password": PASSWORD})
        self.tokens = tokens
        if answer.is_success:
            self._signed_in(answer)
        elif not answer.is_server_error:
            self.violation(action, answer)
        return answer.is_success

    def _signed_in(self, answer: httpx.Response) -> None:
        body: dict[str, Any] = answer.json()
        if self.id and body["user_id"] != self.id:
            self.violation("signed in as somebody else", answer)
        self.id = body["user_id"]
        if self.kind == "bearer":
            self.tokens = {name: body[name] for name in ("access_token", "refresh_token")}

    async def step(self) -> bool:
        """Do what people do next; whether a protected route was answered."""
        turn = next(self._steps)
        if turn % _SIGN_IN_EVERY == 0:
            await self.enter()
        method, path = _STEPS[turn % len(_STEPS)]
        answer, code = await self.call(method, path)
        if answer.is_success:
            if answer.json() != self.id and not self._is_nobody(answer):
                self.violation("taken for somebody else, or nobody", answer)
            self.served_at = time.monotonic()
        elif code in self.renew_at and self.kind == "bearer":
            await self.refresh()
        elif not answer.is_server_error:
            self.violation("signed out", answer)
        else:
            self.unwell_at = time.monotonic()
        self._keeps_cookies(answer)
        return answer.is_success

    def _is_nobody(self, answer: httpx.Response) -> bool:
        """Whether an optional route rightly takes this person for nobody: their bearer token has expired."""
        if self.kind == "cookie" or answer.json() != "nobody":
            return False
        expires_at = AccessToken(access_token=self.tokens["access_token"]).expires_at
        return expires_at is not None and expires_at.timestamp() <= time.time()

    async def refresh(self) -> bool:
        """Renew the access token; whether that worked."""
        token = {"refresh_token": self.tokens["refresh_token"]}
        answer, _ = await self.call("POST", "/api/auth/session/refresh", token)
        if answer.is_success:
            self.tokens["access_token"] = answer.json()["access_token"]
        elif not answer.is_server_error:
            self.violation("the session is gone", answer)
        return answer.is_success

    def _keeps_cookies(self, answer: httpx.Response) -> None:
        if self.kind == "cookie" and not set(self._client.cookies) >= COOKIES:
            self.violation("cookies are gone", answer)

    async def live(self, until: asyncio.Event, pause: float) -> None:
        """Go on, with pauses, until the end."""
        while not until.is_set():
            try:
                await self.step()
            except httpx.TransportError as error:
                self.tally.violations.append(f"{self}: the app did not answer: {error!r}")
            await asyncio.sleep(pause)
