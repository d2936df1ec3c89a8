"""Who is compared: each a small app with one route, and the requests that it answers.

Every app does the same beyond authentication, which is nothing. Each is proved before it is timed: a good credential
passes and a bad one is refused (`in_process.py`). The peers stand in `peers.py`.
"""

import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, repeat
from typing import Annotated, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from starlette.types import ASGIApp

from fastapi_stackauth import CurrentUser, Require, StackAuth, User, current_user, optional_user
from fastapi_stackauth.sessions.cookies import CookiePolicy
from tests.support.forge import PROJECT, Signer

Headers = list[tuple[bytes, bytes]]
APP_URL = "https://app.test"
BODY = {"answer": "yes"}
PERMISSION = "notes:read"
RAW, READING = "raw signature check", "raw check, and reading without questions"


@dataclass(frozen=True)
class Contender:
    """One way to authenticate.

    Attributes:
        name: as the table names it.
        app: answers `/`.
        headers: the headers of one request after another, each with a credential that passes.
        refused: headers with a credential that must not pass; None where there is nothing to refuse.
        by: whose it is: `ours`, `peers`, or `floor` for what it is compared with.
        websocket: whether the requests are WebSocket handshakes.
        note: for the table.
    """

    name: str
    app: ASGIApp
    headers: Iterator[Headers]
    refused: Headers | None = None
    by: str = "ours"
    websocket: bool = False
    note: str = ""


@dataclass
class Tokens:
    """Tokens of Stack Auth's kind, each for a user of its own, valid for a day."""

    signer: Signer
    base_url: str
    numbers: Iterator[int] = field(default_factory=count)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next user's token."""
        number, now = next(self.numbers), int(time.time())
        return self.signer.token(
            sub=f"00000000-0000-4000-8000-{number:012}",
            name="Ada Lovelace",
            refresh_token_id=f"11111111-0000-4000-8000-{number:012}",
            iss=f"{self.base_url}/api/v1/projects/{PROJECT}",
            iat=now - 1,
            exp=now + 86_400,
        )


def bearer(token: str) -> Headers:
    """The headers of a request with a token."""
    return [(b"host", b"app.test"), (b"accept", b"*/*"), (b"authorization", b"Bearer " + token.encode())]


def tamper(token: str) -> str:
    """The token with its first signature bits changed."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


# --- the floor -------------------------------------------------------------------------------------------


def floor(signer: Signer, token: str) -> list[Contender]:
    """Routes without authentication, the least that authentication does, and an ECDSA check without anything else.

    `READING` does that, and reads the token without a question: what is never seen cannot take less.
    """
    signature = _signature_check(signer.private.public_key())
    reading = _reading_too(signature)
    known = {f"Bearer {token}": "ada"}
    app = FastAPI()

    async def bare(request: Request) -> str:
        user = known.get(request.headers.get("authorization", ""))
        if user is None:
            raise HTTPException(401)
        return user

    @app.get("/plain")
    async def plain() -> Any:
        return BODY

    @app.get("/bare")
    async def guarded_route(user: Annotated[str, Depends(bare)]) -> Any:
        return BODY

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.get("/signature")
    async def checked_route(user: Annotated[str, Depends(signature)]) -> Any:
        return BODY

    @app.get("/reading")
    async def read(user: Annotated[Any, Depends(reading)]) -> Any:
        return BODY

    refused = bearer(tamper(token))
    return [
        Contender("plain route", at(app, "/plain"), repeat(bearer(token)), by="floor"),
        Contender("plain WebSocket", at(app, "/socket"), repeat(bearer(token)), by="floor", websocket=True),
        Contender(RAW, at(app, "/signature"), repeat(bearer(token)), refused, by="floor"),
        Contender(READING, at(app, "/reading"), repeat(bearer(token)), refused, by="floor"),
        Contender("bare dependency", at(app, "/bare"), repeat(bearer(token)), refused, by="floor"),
    ]


def _signature_check(key: ec.EllipticCurvePublicKey) -> Callable[[Request], Awaitable[str]]:
    ecdsa = ec.ECDSA(hashes.SHA256())

    async def signature(request: Request) -> str:
        signed, _, encoded = request.headers.get("authorization", "").removeprefix("Bearer ").rpartition(".")
        raw = base64.urlsafe_b64decode(encoded + "==")
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        try:
            key.verify(der, signed.encode(), ecdsa)
        except InvalidSignature:
            raise HTTPException(401) from None
        return signed

    return signature


def _reading_too(signature: Callable[[Request], Awaitable[str]]) -> Callable[[Request], Awaitable[Any]]:
    known: dict[bytes, Any] = {}

    async def reading(request: Request) -> Any:
        signed = await signature(request)
        claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        known[hashlib.sha256(signed.encode()).digest()] = claims
        return claims

    return reading


def at(app: ASGIApp, path: str) -> ASGIApp:
    """The app, whose `/` is this path."""

    async def move_clock(scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = path
        await app(scope, receive, send)

    return move_clock


# --- ours ------------------------------------------------------------------------------------------------


def make_stack(base_url: str, **options: Any) -> StackAuth:
    """A `StackAuth` with its settings as they come, but for the address of the auth server."""
    return StackAuth(project_id=PROJECT, base_url=base_url, publishable_client_key="pck_benchmark", **options)


def app_with(stack: StackAuth, dependency: Any) -> FastAPI:
    """An app with one route behind this dependency."""
    app = FastAPI()
    stack.install(app)

    @app.get("/")
    async def guarded_route(user: Annotated[User | None, Depends(dependency)]) -> Any:
        return BODY

    return app


def ours(base_url: str, tokens: Tokens) -> list[Contender]:
    """This library, in the ways it is used."""
    token = next(tokens)
    seen, refused = repeat(bearer(token)), bearer(tamper(token))
    stack, web = make_stack(base_url), make_stack(base_url, app_url=APP_URL)
    permitted = app_with(stack, Require(permission=PERMISSION))
    return [
        Contender("token seen before", app_with(stack, current_user), seen, refused),
        Contender("token never seen", app_with(stack, current_user), map(bearer, tokens), refused),
        Contender("optional user", app_with(stack, optional_user), seen),
        Contender("with a permission", permitted, seen, refused),
        Contender("cookie session", app_with(web, current_user), repeat(cookies(web, token)), cookies(web, "x")),
        Contender("WebSocket", socket_app(stack), seen, refused, websocket=True),
    ]


def cookies(stack: StackAuth, token: str) -> Headers:
    """The headers of a browser that is signed in."""
    policy = CookiePolicy.of(stack.settings)
    value = f"theme=dark; {policy.name('access')}={token}; {policy.name('refresh')}=benchmarkrefresh"
    return [(b"host", b"app.test"), (b"accept", b"*/*"), (b"cookie", value.encode())]


def socket_app(stack: StackAuth) -> FastAPI:
    """Return an app with one WebSocket for signed-in users."""
    app = FastAPI()
    stack.install(app)

    @app.websocket("/")
    async def socket(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()

    return app
