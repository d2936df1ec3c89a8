"""A client that speaks to an emulator's app without a socket, and what tests say with it."""

from typing import Any

import httpx

from fastapi_stackauth.emulator import Emulator

PASSWORD = "Correct-Horse-7"
CALLBACK = "http://localhost:3000/back"


class Api:
    """Speaks to an emulator's app as one of the access types."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(emulator.app), base_url="http://localhost:8102")

    def headers(self, access: str | None, token: str | None = None, **extra: str) -> dict[str, str]:
        project = self.emulator.project
        keys = {
            "server": {"x-stack-secret-server-key": project.secret_server_key},
            "admin": {"x-stack-super-secret-admin-key": project.super_secret_admin_key},
        }
        start = {"x-stack-access-type": access, "x-stack-project-id": project.id} if access else {}
        mine = {"x-stack-access-token": token} if token else {}
        more = {f"x-stack-{name.replace('_', '-')}": value for name, value in extra.items()}
        return {**start, **keys.get(access or "", {}), **mine, **more}

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        access: str | None = "client",
        token: str | None = None,
        **extra: str,
    ) -> httpx.Response:
        headers = self.headers(access, token, **extra)
        return await self.http.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def post(self, path: str, body: Any = None, **how: Any) -> httpx.Response:
        return await self.call("POST", path, body, **how)

    async def get(self, path: str, **how: Any) -> httpx.Response:
        return await self.call("GET", path, **how)

    async def patch(self, path: str, body: Any, **how: Any) -> httpx.Response:
        return await self.call("PATCH", path, body, **how)

    async def delete(self, path: str, **how: Any) -> httpx.Response:
        return await self.call("DELETE", path, **how)

    async def sign_up(self, email: str = "ada@example.com", password: str = PASSWORD) -> dict[str, Any]:
        answer = await self.post("/auth/password/sign-up", {"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def sign_in(self, email: str = "ada@example.com", password: str = PASSWORD) -> httpx.Response:
        return await self.post("/auth/password/sign-in", {"email": email, "password": password})

    async def me(self, token: str, **how: Any) -> httpx.Response:
        return await self.get("/users/me", token=token, **how)

    async def refresh(self, refresh_token: str) -> httpx.Response:
        return await self.post("/auth/sessions/current/refresh", refresh_token=refresh_token)

    def emails(self, **filters: Any) -> list[dict[str, Any]]:
        return self.emulator.store.emails.find(self.emulator.project_id, **filters)


def assert_rejected(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert a known error; return its details."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["x-stack-known-error"] == answer.headers["x-hexclave-known-error"] == code
    assert set(answer.json()) <= {"code", "details", "error"}
    return dict(answer.json().get("details", {}))
