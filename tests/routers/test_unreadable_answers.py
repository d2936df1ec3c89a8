"""Whatever stands in the auth server's place: callers get an error that the app's schema documents, never a 500."""

from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import CurrentUserProfile, StackAuth, current_profile
from tests.drills.world import documented_responses
from tests.support.forge import BASE, PROJECT, Signer
from tests.support.world import Clock

NOW = 1_800_000_001.0
HTML = "<!doctype html><title>Sorry</title>"
CREDENTIALS = {"email": "ada@example.com", "password": "correct horse battery"}
WRONG_TYPES = {"access_token": 5, "refresh_token": [], "user_id": {}, "id": 7, "config": "none"}

ANSWERS: dict[str, httpx.Response] = {
    "a page": httpx.Response(200, html=HTML),
    "nothing": httpx.Response(200),
    "truncated JSON": httpx.Response(200, text='{"access_token": "eyJ'),
    "wrong types": httpx.Response(200, json=WRONG_TYPES),
    "a list": httpx.Response(200, json=[1, 2]),
    "deep JSON": httpx.Response(200, text="[" * 100_000),
    "a redirect": httpx.Response(302, headers={"location": "https://elsewhere.example/"}),
    "a page of a gateway": httpx.Response(502, html=HTML),
    "too many requests": httpx.Response(429, headers={"retry-after": "60"}),
    "a page not found": httpx.Response(404, html=HTML),
    "a page that asks to sign in": httpx.Response(401, html=HTML),
}


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/auth/password/sign-in", CREDENTIALS),
    ("POST", "/api/auth/password/sign-in", CREDENTIALS),
    ("POST", "/api/auth/password/sign-up", CREDENTIALS),
    ("POST", "/api/auth/session/refresh", {"refresh_token": "r"}),
    ("POST", "/api/auth/otp/sign-in", {"code": "x" * 45}),
    ("POST", "/api/auth/anonymous/sign-up", None),
    ("GET", "/api/auth/me", None),
    ("GET", "/api/auth/methods", None),
    ("GET", "/profile", None),
]


class Impostor(httpx.AsyncBaseTransport):
    """Serves keys as it should, and answers everything else with the same nonsense."""

    def __init__(self, keys: dict[str, Any]) -> None:
        self._keys = keys
        self.answer = httpx.Response(200)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("jwks.json"):
            return httpx.Response(200, json=self._keys)
        return httpx.Response(self.answer.status_code, headers=self.answer.headers, content=self.answer.content)


@dataclass
class Place:
    """An app, what stands in its auth server's place, and the errors that its schema names."""

    app: FastAPI
    impostor: Impostor
    documented: frozenset[tuple[str, str, int, str]]
    token: str


@pytest.fixture(scope="module")
def place() -> Place:
    signer = Signer()
    impostor = Impostor({"keys": [signer.jwk]})
    options: dict[str, Any] = {"project_id": PROJECT, "base_url": BASE, "app_url": "http://localhost:8000"}
    unlimited: dict[str, Any] = {"rate_limit_address": None, "rate_limit_account": None}
    stack = StackAuth(transport=impostor, clock=Clock(NOW), timeout=0.2, **options, **unlimited)
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")

    @app.get("/profile")
    async def profile(profile: Annotated[CurrentUserProfile, Depends(current_profile)]) -> str:
        return profile.id

    return Place(app, impostor, frozenset(documented_responses(app.openapi())), signer.token())


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_what_cannot_be_read_is_a_documented_error(place: Place, answer: httpx.Response):
    place.impostor.answer = answer
    headers = {"origin": "http://localhost:8000", "authorization": f"Bearer {place.token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(place.app), base_url="http://localhost:8000") as client:
        for method, path, body in ROUTES:
            said = await client.request(method, path, json=body, headers=headers)
            assert said.status_code in (502, 503), f"{path}: {said.text}"
            assert (method, path, said.status_code, said.json()["code"]) in place.documented
