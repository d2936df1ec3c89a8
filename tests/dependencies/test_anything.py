"""Whatever bytes come in, the answer is a refusal: no 5xx, nothing raised, and no token in anything that is written."""

import asyncio
import logging

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastapi_stackauth import CurrentUser, OptionalUser, StackAuth
from fastapi_stackauth.credentials import HeaderCredentials, QueryToken, SdkCookies, Site
from tests.support.asgi import RawAnswer, bearer, call, connect
from tests.support.forge import NOW, PROJECT, Signer, b64, claims, segment
from tests.support.world import World

APP_URL = "https://app.example.com"
SIGNER = Signer()
NAMES = [
    b"authorization",
    b"x-stack-access-token",
    b"x-hexclave-access-token",
    b"x-stack-auth",
    b"cookie",
    b"origin",
    b"sec-fetch-site",
    b"host",
    b"content-type",
    b"x-forwarded-for",
]


def everything_on(keys: str = "ok") -> tuple[World, FastAPI]:
    """An app with every source there is, protected and optional endpoints, and a WebSocket."""
    sources = [HeaderCredentials(), SdkCookies(Site(APP_URL)), QueryToken()]
    world = World.make(SIGNER, sources=sources, jwks_cooldown=1)
    world.server.keys, world.server.me = keys, "unparsable"
    app = world.app()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, user: CurrentUser, maybe: OptionalUser) -> None:
        await websocket.accept()

    return world, app


def token_like(header: bytes, payload: bytes, signature: bytes) -> bytes:
    return b".".join(b64(part).encode() for part in (header, payload, signature))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.fixed_dictionaries({}, optional=dict.fromkeys((*claims(), "nbf", "crit", "branchId"), JSON))
TOKENS = st.one_of(
    st.builds(token_like, st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=70)),
    CLAIMS.map(lambda odd: SIGNER.compact(SIGNER.header(), {**claims(), **odd}).encode()),
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), JSON).map(
        lambda odd: SIGNER.compact({**SIGNER.header(), **odd}, claims()).encode()
    ),
    st.binary(max_size=200),
)
PREFIXES = [b"", b"Bearer ", b"Bearer stackauth_", b"stack-access=", b'{"accessToken":"', b'stack-access=["r","']
VALUES = st.tuples(st.sampled_from(PREFIXES), TOKENS, st.sampled_from([b"", b'"}', b'"]'])).map(b"".join)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)
QUIETLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(answer: RawAnswer, *, up: bool) -> None:
    assert answer.status in ((200, 401, 403) if up else (200, 401, 403, 503))
    if answer.status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json) <= {"type", "title", "status", "detail", "code", "instance", "details"}


@QUIETLY
@given(headers=HEADERS, query=st.binary(max_size=40), path=st.sampled_from(["/me", "/hello"]))
def test_no_bytes_in_any_header_make_a_5xx_or_an_exception(headers: list[tuple[bytes, bytes]], query: bytes, path: str):
    async def go() -> None:
        world, app = everything_on()
        for method in ("GET", "POST") if path == "/me" else ("GET",):
            check(await call(app, path, headers, method=method, query=b"access_token=" + query), up=True)
        await world.stack.aclose()

    asyncio.run(go())


@QUIETLY
@given(headers=HEADERS)
def test_no_bytes_make_more_than_a_503_while_keys_are_out_of_reach(headers: list[tuple[bytes, bytes]]):
    async def go() -> None:
        world, app = everything_on("503")
        check(await call(app, "/me", headers), up=False)
        await world.stack.aclose()

    asyncio.run(go())


# --- nothing secret is written ---------------------------------------------------------------------------

OTHER = Signer()


def refused() -> dict[str, str]:
    """Tokens that are refused, one for each code."""
    good = f"{segment(SIGNER.header())}.{segment(claims())}"
    return {
        "token_malformed": SIGNER.token(header={"crit": ["x"]}),
        "token_algorithm_not_allowed": SIGNER.token(header={"alg": "HS256"}),
        "token_key_unknown": SIGNER.token(header={"kid": "nobody"}),
        "token_signature_invalid": f"{good}.{b64(b'x' * 64)}",
        "token_claims_missing": SIGNER.token(sub=None),
        "token_issuer_not_allowed": SIGNER.token(iss="https://evil.test"),
        "token_audience_not_allowed": SIGNER.token(aud="another"),
        "token_project_mismatch": SIGNER.token(project_id="another"),
        "token_kind_mismatch": SIGNER.token(is_restricted=True),
        "token_expired": SIGNER.token(exp=NOW - 600, iat=NOW - 1_200),
        "token_not_yet_valid": SIGNER.token(iat=NOW + 600),
        "anonymous_not_allowed": SIGNER.token("anonymous"),
        "restricted_not_allowed": SIGNER.token("restricted"),
    }


@pytest.mark.parametrize("code", refused())
@pytest.mark.parametrize("place", ["bearer", "x-stack-access-token", "x-stack-auth", "cookie", "query"])
@pytest.mark.parametrize("keys", ["ok", "503"])
async def test_no_part_of_a_token_reaches_a_log_a_header_or_a_body(
    code: str, place: str, keys: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    world, app = everything_on(keys)
    token = refused()[code]
    headers = {
        "bearer": [bearer(token)],
        "x-stack-access-token": [(b"x-stack-access-token", token.encode())],
        "x-stack-auth": [(b"x-stack-auth", f'{{"accessToken":"{token}"}}'.encode())],
        "cookie": [(b"cookie", f'stack-access=["r","{token}"]'.encode())],
        "query": [],
    }[place]
    query = f"access_token={token}".encode() if place == "query" else b""
    answers = [await call(app, path, headers, query=query) for path in ("/me", "/hello")]
    answers.append(await connect(app, "/ws", [*headers, (b"origin", APP_URL.encode())], query=query))
    if keys == "ok":
        assert answers[0].json["code"] == code
    written = "\n".join(caplog.handler.format(record) for record in caplog.records)
    written += repr([answer.messages for answer in answers]) + repr(world.stack) + repr(world.verifier.stats)
    assert [part for part in token.split(".") if len(part) > 40 and part in written] == []
    if keys == "ok" and code.startswith("token_"):
        assert f"token_refused code={code}" in written


async def test_a_refused_credential_is_logged_with_its_reason_and_without_itself(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    _, app = everything_on()
    await call(app, "/hello", [(b"x-stack-auth", b"secret-junk")])
    assert "credentials_malformed" in caplog.text
    assert "secret-junk" not in caplog.text


async def test_httpx_logs_the_url_of_a_call_without_the_token(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    _, app = everything_on()
    transport = httpx.ASGITransport(app)
    token = SIGNER.token()
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        assert (await client.get("/me", params={"access_token": token})).status_code == 200
    assert "access_token=[redacted]" in caplog.text
    assert token not in caplog.text


def test_no_repr_shows_a_key_or_a_token():
    stack = StackAuth(project_id=PROJECT, secret_server_key="ssk_secret", publishable_client_key="pck_secret")
    shown = repr([stack, stack.settings, stack.client, stack.verifier, stack.sources, stack.client.as_user("tok.en")])
    assert "ssk_secret" not in shown
    assert "pck_secret" not in shown
    assert "tok.en" not in shown
