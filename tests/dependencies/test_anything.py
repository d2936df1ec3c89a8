"""No token in anything that is written, whatever is held against it. Any bytes at all: tests/fuzz/test_requests.py."""

import logging

import httpx
import pytest
from fastapi import FastAPI, WebSocket

from fastapi_stackauth import CurrentUser, OptionalUser, StackAuth
from fastapi_stackauth.sessions.cookies import OriginPolicy, SdkCookies
from fastapi_stackauth.sessions.credentials import HeaderCredentials, QueryToken
from tests.support.asgi import bearer, call, connect
from tests.support.forge import NOW, PROJECT, Signer, b64, claims, segment
from tests.support.world import World

APP_URL = "https://app.example.com"
SIGNER = Signer()


def everything_on(keys: str = "ok") -> tuple[World, FastAPI]:
    """An app with every source there is, protected and optional endpoints, and a WebSocket."""
    sources = [HeaderCredentials(), SdkCookies(OriginPolicy(APP_URL), PROJECT), QueryToken()]
    world = World.make(SIGNER, sources=sources, jwks_cooldown=1)
    world.server.keys, world.server.me = keys, "unparsable"
    app = world.app()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, user: CurrentUser, maybe: OptionalUser) -> None:
        await websocket.accept()

    return world, app


# --- nothing secret is written ---------------------------------------------------------------------------

OTHER = Signer()


def build_rejections() -> dict[str, str]:
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


@pytest.mark.parametrize("code", build_rejections())
@pytest.mark.parametrize("place", ["bearer", "x-stack-access-token", "x-stack-auth", "cookie", "query"])
@pytest.mark.parametrize("keys", ["ok", "503"])
async def test_no_part_of_a_token_reaches_a_log_a_header_or_a_body(
    code: str, place: str, keys: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    world, app = everything_on(keys)
    token = build_rejections()[code]
    headers = {
        "bearer": [bearer(token)],
        "x-stack-access-token": [(b"x-stack-access-token", token.encode())],
        "x-stack-auth": [(b"x-stack-auth", f'{{"accessToken":"{token}"}}'.encode())],
        "cookie": [(b"cookie", f'stack-access=["r","{token}"]; stack-refresh=r'.encode())],
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
        assert f"token_rejected code={code}" in written


async def test_a_rejected_credential_is_logged_by_its_reason(caplog: pytest.LogCaptureFixture):
    """A refused credential is logged with its reason and without itself."""
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
    shown = repr(
        [stack, stack.settings, stack.client, stack.verifier, stack.services.sources, stack.client.as_user("tok.en")]
    )
    assert "ssk_secret" not in shown
    assert "pck_secret" not in shown
    assert "tok.en" not in shown
