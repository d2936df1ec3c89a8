"""The app, put together: `uvicorn example_app.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

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


app = FastAPIOffline(  # a FastAPI app whose /docs and /redoc load no files from a CDN
    title="Example app",
    description="Notes for users and teams: every sign-in method and protected endpoints with fastapi-stackauth.",
    lifespan=lifespan,
)
auth.install(app)
secured = partial(SecurityHeaders, https=stack.settings.app_url)


async def handle_failure(request: Request, error: Exception) -> ASGIApp:
    """Add the headers to the response for an unexpected error, which bypasses the middleware."""
    return secured(await pages.show_failure(request, error))


app.add_middleware(secured)
app.add_exception_handler(Exception, handle_failure)  # type: ignore[arg-type]  # Starlette calls any answer that is an ASGI app
app.add_exception_handler(RequestValidationError, pages.show_invalid)
app.add_exception_handler(StackAuthError, pages.show_error)  # type: ignore[arg-type]  # Starlette types handlers of requests and of WebSockets apart
app.add_exception_handler(HTTPException, pages.show_http_error)
for router in (api.router, pages.router, sign_in.router, account.router, notes.router, teams.router):
    app.include_router(router)
stack.mount_mcp(app, "/mcp", include_tags={"notes"}, include_operations={"write_note"})  # for AI agents
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
