"""The router's routes against an auth server over real HTTP: tokens travel in bodies."""

import base64
import json
from typing import Any

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


async def sign_up(client: httpx.AsyncClient, email: str = EMAIL) -> dict[str, Any]:
    response = await client.post("/auth/password/sign-up", json={"email": email, "password": PASSWORD})
    assert response.status_code == 200, response.text
    return dict(response.json())


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = dict(response.json())
    assert document["code"] == code
    assert document["status"] == status
    assert PASSWORD not in response.text
    return document


async def test_sign_up_signs_in_and_opens_a_protected_route(client: httpx.AsyncClient):
    """Who signs up is signed in at once and reaches a protected endpoint."""
    tokens = await sign_up(client)
    assert tokens["token_type"] == "Bearer"
    assert tokens["is_new_user"] is True
    assert 590 <= tokens["expires_in"] <= 600
    for path in ("/me", "/v1/notes/mine"):
        user = (await client.get(path, headers=bearer(tokens))).json()
        assert (user["id"], user["email"], user["kind"]) == (tokens["user_id"], EMAIL, "normal")


async def test_a_second_sign_in_is_the_same_user_in_a_new_session(client: httpx.AsyncClient):
    first = await sign_up(client)
    answer = await client.post("/auth/password/sign-in", json={"email": EMAIL, "password": PASSWORD})
    second = answer.json()
    assert second["user_id"] == first["user_id"]
    assert second["refresh_token"] != first["refresh_token"]
    assert second["is_new_user"] is False


async def test_answers_that_hold_tokens_are_never_stored(client: httpx.AsyncClient):
    answer = await client.post("/auth/password/sign-up", json={"email": EMAIL, "password": PASSWORD})
    assert answer.headers["cache-control"] == "no-store"


async def test_the_account_is_read_fresh_from_the_server(client: httpx.AsyncClient):
    tokens = await sign_up(client)
    account = await client.get("/auth/me", headers=bearer(tokens))
    assert account.status_code == 200
    assert account.json()["primary_email"] == EMAIL
    assert account.json()["has_password"] is True


async def test_with_a_secret_key_me_shows_no_server_fields(server: Emulator):
    """The account route shows no server only field even with a secret key alone."""
    from fastapi_stackauth import StackAuth
    from tests.apps import make_app

    stack = StackAuth(project_id=server.project_id, base_url=server.url, secret_server_key=server.secret_server_key)
    transport = httpx.ASGITransport(make_app(stack))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        tokens = await sign_up(client)
        account = (await client.get("/auth/me", headers=bearer(tokens))).json()
    await stack.aclose()
    assert account["id"] == tokens["user_id"]
    assert not set(account) & {
        "server_metadata",
        "last_active_at_millis",
        "primary_email_auth_enabled",
        "restricted_by_admin_private_details",
        "country_code",
        "risk_scores",
    }


async def test_a_refresh_gives_an_access_token_and_keeps_its_own(client: httpx.AsyncClient):
    """A refresh token yields a new access token and stays valid."""
    tokens = await sign_up(client)
    for _ in range(2):
        answer = await client.post("/auth/session/refresh", json={"refresh_token": tokens["refresh_token"]})
        refreshed = answer.json()
        assert set(refreshed) == {"access_token", "expires_in", "token_type"}
        assert (await client.get("/me", headers=bearer(refreshed))).json()["id"] == tokens["user_id"]


@pytest.mark.parametrize("with_bearer", [True, False])
async def test_signing_out_ends_the_session_and_may_be_repeated(client: httpx.AsyncClient, with_bearer: bool):
    tokens = await sign_up(client)
    body = {"refresh_token": tokens["refresh_token"]}
    headers = bearer(tokens) if with_bearer else {}
    for _ in range(2):
        answer = await client.post("/auth/sign-out", json=body, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
    gone = await client.post("/auth/session/refresh", json=body)
    assert_problem(gone, 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert gone.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_sign_out_works_with_an_expired_access_token(client: httpx.AsyncClient, server: Emulator):
    """Signing out with an expired access token still ends the session."""
    tokens = await sign_up(client)
    expired = {"authorization": f"Bearer {_expired_copy(tokens['access_token'])}"}
    body = {"refresh_token": tokens["refresh_token"]}
    assert (await client.post("/auth/sign-out", json=body, headers=expired)).status_code == 204
    assert (await client.post("/auth/session/refresh", json=body)).status_code == 401


async def test_sign_out_ends_the_bearers_other_session_too(client: httpx.AsyncClient):
    """Signing out ends the bearers session too where it is another."""
    first = await sign_up(client)
    second = (await client.post("/auth/password/sign-in", json={"email": EMAIL, "password": PASSWORD})).json()
    await client.post("/auth/sign-out", json={"refresh_token": first["refresh_token"]}, headers=bearer(second))
    for tokens in (first, second):
        answer = await client.post("/auth/session/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"email": EMAIL, "password": "7 chars"}, 400, "PASSWORD_TOO_SHORT"),
        ({"email": EMAIL, "password": "long" * 20}, 422, "request_invalid"),
        ({"email": "not an address", "password": PASSWORD}, 422, "request_invalid"),
        ({"email": EMAIL}, 422, "request_invalid"),
        ({"email": EMAIL, "password": PASSWORD, "admin": True}, 422, "request_invalid"),
        ({"email": EMAIL, "pasword": PASSWORD}, 422, "request_invalid"),
        ({"email": 5, "password": PASSWORD}, 422, "request_invalid"),
        ({"email": EMAIL, "password": ["a"] * 8}, 422, "request_invalid"),
        ({"email": EMAIL, "password": None}, 422, "request_invalid"),
        ([], 422, "request_invalid"),
        ("text", 422, "request_invalid"),
    ],
)
async def test_bad_sign_ups_get_a_typed_problem_that_echoes_nothing(
    client: httpx.AsyncClient, body: object, status: int, code: str
):
    response = await client.post("/auth/password/sign-up", json=body)
    document = assert_problem(response, status, code)
    assert "7 chars" not in response.text
    assert document["title"]
    assert document["detail"]


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"", "application/json", 422),
        (b"", None, 422),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"email": "\\ud800", "password": "12345678"}', "application/json", 422),
        (b"[" * 16_000, "application/json", 400),
        (b"email=a%40b.co&password=12345678", "application/x-www-form-urlencoded", 400),
        (b'{"email":"a@b.co","password":"12345678"}', "text/plain", 400),
    ],
)
async def test_bodies_that_cannot_be_read_are_a_problem_too(
    client: httpx.AsyncClient, content: bytes, content_type: str | None, status: int
):
    headers = {"content-type": content_type} if content_type else {}
    response = await client.post("/auth/password/sign-up", content=content, headers=headers)
    assert_problem(response, status, "request_invalid")


async def test_a_taken_address_and_a_wrong_password_are_told_by_code(client: httpx.AsyncClient):
    await sign_up(client)
    again = await client.post("/auth/password/sign-up", json={"email": EMAIL, "password": PASSWORD})
    assert_problem(again, 409, "USER_EMAIL_ALREADY_EXISTS")
    assert EMAIL not in again.text
    for email, password in ((EMAIL, "wrong password"), ("nobody@example.com", PASSWORD)):
        wrong = await client.post("/auth/password/sign-in", json={"email": email, "password": password})
        assert_problem(wrong, 400, "EMAIL_PASSWORD_MISMATCH")


async def test_a_method_that_is_switched_off_says_so(client: httpx.AsyncClient, server: Emulator):
    server.configure(credential_enabled=False)
    answer = await client.post("/auth/password/sign-in", json={"email": EMAIL, "password": PASSWORD})
    assert_problem(answer, 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")


@pytest.mark.parametrize("path", ["/auth/session/refresh", "/auth/sign-out"])
@pytest.mark.parametrize("body", [{}, {"refresh_token": 1}, {"refresh_token": ""}, {"refresh_token": "x", "y": 1}])
async def test_session_routes_refuse_bodies_of_the_wrong_form(client: httpx.AsyncClient, path: str, body: object):
    assert_problem(await client.post(path, json=body), 422, "request_invalid")


@pytest.mark.parametrize("token", ["junk", "ünïcode", "x\r\ny: z", "é" * 100, "a" * 512])
async def test_no_refresh_token_can_cause_a_server_error(client: httpx.AsyncClient, token: str):
    response = await client.post("/auth/session/refresh", json={"refresh_token": token})
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert token not in response.text


async def test_an_auth_server_that_is_down_is_503_with_a_time_to_retry(server: Emulator):
    from fastapi_stackauth import StackAuth
    from tests.apps import make_app

    stack = StackAuth(project_id=server.project_id, base_url="http://127.0.0.1:1", timeout=2)
    transport = httpx.ASGITransport(make_app(stack))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        answer = await client.post("/auth/password/sign-in", json={"email": EMAIL, "password": PASSWORD})
    await stack.aclose()
    assert_problem(answer, 503, "auth_server_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "options",
    [
        {"project_id": "0b0c5a5e-0000-4000-8000-000000000000"},
        {"publishable_client_key": "pck_wrong"},
        {"secret_server_key": "ssk_wrong"},
    ],
)
async def test_rejected_keys_are_502_and_not_the_callers_fault(server: Emulator, options: dict[str, Any]):
    """An auth server that refuses our keys is 502 and never blames the caller."""
    from fastapi_stackauth import StackAuth
    from tests.apps import make_app

    stack = StackAuth(**{"project_id": server.project_id, "base_url": server.url, **options})
    transport = httpx.ASGITransport(make_app(stack))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        answer = await client.post("/auth/password/sign-in", json={"email": EMAIL, "password": PASSWORD})
    await stack.aclose()
    document = assert_problem(answer, 502, "auth_server_misconfigured")
    assert "wrong" not in json.dumps(document)


def _expired_copy(token: str) -> str:
    """The token with a past expiry; its signature no longer fits, which is all that an expired one would cause too."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**claims, "exp": 1}).encode()).rstrip(b"=").decode()
    return f"{header}.{changed}.{signature}"


async def test_a_400_of_the_apps_own_dependency_stays(stack: Any):
    """An apps own 400 from a dependency on the router stays its own."""
    from fastapi import Depends, FastAPI, HTTPException

    async def refuse() -> None:
        raise HTTPException(400, "my own detail")

    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(delivery="body"), prefix="/auth", dependencies=[Depends(refuse)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answer = await client.post("/auth/password/sign-in", json={"email": EMAIL, "password": PASSWORD})
    assert (answer.status_code, answer.json()) == (400, {"detail": "my own detail"})
