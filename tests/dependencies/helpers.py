"""What these tests share: endpoints to protect, answers in short, a user of a test's own."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.security import SecurityScopes
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from fastapi_stackauth import SessionWatch, User, WatchSession
from tests.support.asgi import bearer, call


def protect(app: FastAPI, dependency: Any, path: str = "/it") -> None:
    """An endpoint that answers who is calling."""

    @app.api_route(path, methods=["GET", "POST"])
    async def it(user: Annotated[User | None, Depends(dependency)]) -> str:
        return user.id if user else "nobody"


async def ask_app(app: FastAPI, *headers: tuple[bytes, bytes], path: str = "/it") -> str | int:
    """The code of the refusal, or the plain answer."""
    answer = await call(app, path, headers)
    if answer.status == 200:
        return str(answer.json)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    return f"{answer.status} {answer.json['code']}"


class Preferences(BaseModel):
    """Metadata of an app's own."""

    model_config = ConfigDict(strict=True)
    theme: str = "light"
    tags: list[str] = []


TESTER = User(id="tester", email="t@example.com", email_verified=True)


async def start(app: FastAPI) -> None:
    """Start an app and stop it, as a server does."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


SOON = 0.001
NOTHING = SecurityScopes()


async def open_watch(app: FastAPI, token: str | None, watched: WatchSession | None = None) -> SessionWatch:
    headers = [bearer(token)] if token else []
    scope = {"type": "http", "app": app, "headers": headers, "method": "GET", "query_string": b""}
    return await (watched or WatchSession(every=SOON))(HTTPConnection(scope), NOTHING)
