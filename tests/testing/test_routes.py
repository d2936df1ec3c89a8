"""`unguarded_routes`: what answers any caller, wherever it is declared."""

from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from fastapi_stackauth import CurrentUser, OptionalUser, Require, StackAuth, User
from fastapi_stackauth.testing import unguarded_routes


async def admin(user: Annotated[User, Depends(Require(permission="admin"))]) -> User:
    """A dependency of an app's own, derived from one of ours."""
    return user


def _app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    stack = StackAuth(project_id="p")
    stack.install(app)
    app.include_router(stack.router(delivery="body"), prefix="/auth")
    app.include_router(stack.readiness("/ready"))
    app.include_router(stack.webhooks("/webhooks"))
    return app


def test_the_list_names_each_method_of_each_open_route():
    app, closed, opened = _app(), APIRouter(dependencies=[Depends(admin)]), APIRouter()

    @app.get("/me")
    async def me(user: CurrentUser) -> None: ...

    @app.get("/hello")
    async def hello(user: OptionalUser) -> None: ...

    @closed.get("/report")
    async def report() -> None: ...

    @opened.api_route("/about", methods=["GET", "POST"], include_in_schema=False)
    async def about() -> None: ...

    @opened.websocket("/feed")
    async def feed(websocket: WebSocket) -> None: ...

    @opened.websocket("/mine")
    async def mine(websocket: WebSocket, user: CurrentUser) -> None: ...

    app.include_router(closed, prefix="/closed")
    app.include_router(opened, prefix="/open")
    expected = ["GET /open/about", "GET /openapi.json", "POST /open/about", "WEBSOCKET /open/feed"]
    assert unguarded_routes(app) == expected
    assert unguarded_routes(app, optional=True) == sorted([*expected, "GET /hello"])


def test_mounted_apps_are_looked_into():
    app, child = _app(), FastAPI(openapi_url=None)

    @child.get("/me")
    async def me(user: CurrentUser) -> None: ...

    @child.get("/about")
    async def about() -> None: ...

    page = PlainTextResponse("page")
    app.mount("/child", child)
    app.mount("/files", page)
    app.routes.append(Mount("/pages", routes=[Route("/one", lambda _: page)]))
    app.mount("/again", app)  # a mount that contains itself ends
    assert unguarded_routes(app) == ["* /files/", "GET /child/about", "GET /openapi.json", "GET /pages/one"]


def test_dependencies_of_the_app_and_of_an_include_count():
    whole, part, router = (
        FastAPI(openapi_url=None, dependencies=[Depends(admin)]),
        FastAPI(openapi_url=None),
        APIRouter(),
    )

    @router.get("/it")
    async def it() -> None: ...

    whole.include_router(router)
    part.include_router(router, prefix="/closed", dependencies=[Depends(admin)])
    part.include_router(router, prefix="/open")
    assert unguarded_routes(whole) == []
    assert unguarded_routes(part) == ["GET /open/it"]


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason="older FastAPI has no frontends")
def test_frontends_count_as_routes(tmp_path: Path):
    app, closed = FastAPI(openapi_url=None), APIRouter(dependencies=[Depends(admin)])
    opened, child = APIRouter(prefix="/shop"), FastAPI(openapi_url=None)
    app.frontend("/", directory=tmp_path)
    closed.frontend("/closed", directory=tmp_path)
    opened.frontend("/open", directory=tmp_path)
    child.frontend("/", directory=tmp_path)
    app.include_router(closed)
    app.include_router(opened, prefix="/v1")
    app.mount("/child", child)
    assert unguarded_routes(app) == ["GET /child/{path}", "GET /v1/shop/open/{path}", "GET /{path}"]


def test_a_mounted_app_of_another_framework_is_one_route():
    class Foreign:
        def routes(self) -> list[str]:
            return []

    app = FastAPI(openapi_url=None)
    app.mount("/foreign", Foreign())  # type: ignore[arg-type]  # it only looks like an app
    assert unguarded_routes(app) == ["* /foreign/"]
