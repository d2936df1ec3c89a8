"""A team with its members, and a network that counts calls and can be cut."""

from typing import Any

import httpx
from fastapi import FastAPI

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.models import SignIn, TeamCreate


class Counting(httpx.AsyncBaseTransport):
    """The network, which counts calls and can be cut."""

    def __init__(self) -> None:
        self.inner = httpx.AsyncHTTPTransport()
        self.paths: list[str] = []
        self.cut = False
        self.cut_beginning: str | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if self.cut or (self.cut_beginning and path.startswith(self.cut_beginning)):
            raise httpx.ConnectError("cut", request=request)
        self.paths.append(path)
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def count(self, beginning: str) -> int:
        return sum(path.startswith(beginning) for path in self.paths)


class Company:
    """A team with a boss who may everything and a member who may what members may; and an outsider."""

    def __init__(self, server: Emulator, **options: Any) -> None:
        self.server = server
        self.network = Counting()
        settings: dict[str, Any] = {
            "project_id": server.project_id,
            "base_url": server.url,
            "clock": server.clock.now,
            "transport": self.network,
            "timeout": 2.0,
        }
        self.stack = StackAuth(**{**settings, **options})
        self.app = FastAPI()
        self.stack.install(self.app)
        self.admin = StackAuth(
            project_id=server.project_id, base_url=server.url, secret_server_key=server.secret_server_key
        ).client.as_server()

    async def create_team(self) -> None:
        self.server.seed({"permissions": [
            {"id": "posts:read", "scope": "team"},
            {"id": "posts:all", "scope": "team", "contained_permission_ids": ["posts:read"]},
            {"id": "reports:see", "scope": "project"},
        ]})  # fmt: skip
        client = StackAuth(project_id=self.server.project_id, base_url=self.server.url).client
        self.boss, self.member, self.outsider = [
            await client.password.sign_up(email=f"{name}@example.com", password="correct horse battery")
            for name in ("boss", "member", "outsider")
        ]
        team = await client.as_user(self.boss.access_token).teams.create(TeamCreate(display_name="Red"))
        self.team_id = team.id
        await self.admin.team_members.add(team.id, self.member.user_id)
        await self.admin.team_permissions.grant("posts:all", team_id=team.id, user_id=self.member.user_id)
        await client.aclose()

    async def ask(self, who: SignIn | None, path: str, **options: Any) -> httpx.Response:
        headers = {**({"authorization": f"Bearer {who.access_token}"} if who else {}), **options.pop("headers", {})}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.get(path, headers=headers, **options)

    async def answer(self, who: SignIn | None, path: str, **options: Any) -> str:
        answer = await self.ask(who, path, **options)
        return "ok" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['code']}"
