"""The app, put together: `uvicorn example_app.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from example_app import account, api, auth, notes, pages, sign_in, teams
from example_app.headers import SecurityHeaders
from example_app.storage import notebooks
from fastapi_stackauth import StackAuthError

stack = auth.stack


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Notes are at hand while the app runs."""
    await notebooks.open()
    yield
    await notebooks.close()


app = FastAPI(
    title="Example app",
    description="Notes for people and teams: every sign-in method and protected endpoints with fastapi-stackauth.",
    lifespan=lifespan,
)
auth.install(app)
auth_servers = (stack.settings.base_url, *stack.settings.issuers)
app.add_middleware(SecurityHeaders, auth_servers=auth_servers, https=stack.settings.app_url)
app.add_exception_handler(StackAuthError, pages.show_error)  # type: ignore[arg-type]  # Starlette types handlers of requests and of WebSockets apart
app.add_exception_handler(HTTPException, pages.show_http_error)
for router in (api.router, pages.router, sign_in.router, account.router, notes.router, teams.router):
    app.include_router(router)
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
