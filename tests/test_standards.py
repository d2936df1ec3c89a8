"""What `docs/security.md` says of tokens and keys and no other test shows, item by item."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import AuthError, ConfigurationError, CurrentUser, Require, StackAuth, User, error_response
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import AUTH_CODES, SessionEnded
from fastapi_stackauth.verification.keys import read_key_set
from tests.support.fixtures import signer
from tests.support.forge import Signer, b64, key_set
from tests.support.rows import rows
from tests.support.world import World

__all__ = ["signer"]

ROOT = Path(__file__).parent.parent
FIELD_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1


@rows("code", AUTH_CODES)
def test_every_401_asks_for_a_bearer_token_and_nothing_else_does(code: str):
    """RFC 6750 §3 and §3.1: no error where nothing was presented; no words of the caller's."""
    answer = error_response(AuthError(code, reason="a reason", details={"restricted_reason": "other"}))
    challenge = answer.headers.get("www-authenticate", "")
    assert (answer.status_code == 401) == challenge.startswith("Bearer")
    assert ("error=" in challenge) == (answer.status_code == 401 and code != "authentication_required")
    assert "reason" not in challenge


@pytest.mark.parametrize("place", ["form", "json"])
async def test_a_token_in_a_body_is_not_read(place: str, signer: Signer):
    """RFC 6750 §2.2."""
    world = World.make(signer)
    app = FastAPI()
    world.stack.install(app)

    @app.post("/me")
    async def me(user: CurrentUser) -> str:
        return user.id

    token = signer.token()
    body: Mapping[str, Any] = {"data" if place == "form" else "json": {"access_token": token}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        assert (await client.post("/me", headers={"authorization": f"Bearer {token}"}, **body)).status_code == 200
        answer = await client.post("/me", **body)
    await world.stack.aclose()
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")


@rows(
    "point",
    [(0, 0), (1, 1), (FIELD_PRIME, FIELD_PRIME), (2**256 - 1, 2**256 - 1)],
    ids=["infinity", "beside the curve", "the prime", "the largest"],
)
def test_a_point_that_is_not_on_the_curve_is_no_key(point: tuple[int, int], signer: Signer):
    """RFC 8725 §3.4."""
    x, y = (b64(number.to_bytes(32, "big")) for number in point)
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set({"keys": [{**signer.jwk, "x": x, "y": y}]})
    swapped = {**signer.jwk, "x": signer.jwk["y"], "y": signer.jwk["x"]}
    assert list(read_key_set({"keys": [*key_set(signer)["keys"], swapped]})) == [signer.key_id]


@pytest.mark.parametrize(("size", "accepted"), [(15, False), (16, True)])
def test_a_webhook_secret_has_at_least_128_bits(size: int, accepted: bool):
    """RFC 8725 §3.5."""
    secret = "whsec_" + base64.b64encode(b"k" * size).decode()
    if accepted:
        assert StackAuth(project_id="p", webhook_secrets=[secret]).settings.require_webhook_keys() == (b"k" * size,)
    else:
        with pytest.raises(ConfigurationError, match="16 bytes"):
            StackAuth(project_id="p", webhook_secrets=[secret])


def test_no_page_cuts_a_password():
    """ASVS 6.2.8: `maxlength` shortens a pasted password without a word, and nobody knows what was saved."""
    templates = ROOT.glob("fastapi_stackauth/pages/templates/*.html")
    pages = [*templates, ROOT / "fastapi_stackauth/routers/plumbing/pages.py"]
    fields = [
        field.partition(">")[0]
        for page in pages
        for field in page.read_text("utf-8").split("<input ")[1:]
        if 'type="password"' in field.partition(">")[0]
    ]
    assert len(fields) >= 4
    assert [field for field in fields if "maxlength" in field] == []


async def test_a_session_lives_a_year_from_the_sign_in_used_or_not(server: Emulator):
    """ASVS 7.3.1, 7.3.2; 7.2.2, 7.2.3: a refresh token has 45 of 32 characters, 225 bits."""
    year = 365 * 86_400
    client = StackAuth(
        project_id=server.project_id, base_url=server.url, publishable_client_key=server.publishable_client_key
    ).client
    used, unused = [await client.anonymous.sign_up() for _ in range(2)]
    assert {len(each.refresh_token) for each in (used, unused)} == {45}
    server.clock.advance(year / 2)
    await client.refresh(used.refresh_token)
    server.clock.advance(year / 2 - 10)
    for each in (used, unused):
        await client.refresh(each.refresh_token)
    server.clock.advance(11)
    for each in (used, unused):
        with pytest.raises(SessionEnded, match="REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"):
            await client.refresh(each.refresh_token)
    await client.aclose()


async def test_administrators_end_a_session_and_live_checks_hear_of_it(server: Emulator):
    """ASVS 7.4.5."""
    stack = StackAuth(
        project_id=server.project_id,
        base_url=server.url,
        publishable_client_key=server.publishable_client_key,
        secret_server_key=server.secret_server_key,
    )
    app = FastAPI()
    stack.install(app)

    @app.get("/me")
    async def me(user: Annotated[User, Depends(Require(live=True, allow_anonymous=True))]) -> str:
        return user.id

    ada = await stack.client.anonymous.sign_up()
    headers = {"authorization": f"Bearer {ada.access_token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        assert (await client.get("/me", headers=headers)).json() == ada.user_id
        (session,) = await stack.client.as_user(ada.access_token).sessions.list()
        await stack.client.as_server().sessions.revoke(session.id, ada.user_id)
        assert (await client.get("/me", headers=headers)).json()["code"] == "session_revoked"
    with pytest.raises(SessionEnded):
        await stack.client.refresh(ada.refresh_token)
    await stack.aclose()
