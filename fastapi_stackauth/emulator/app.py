"""The FastAPI app, with all operations under /api/v1 and /api/latest and the API middleware.

Law: composition only. The app has no documentation pages, because it follows the API of the real server.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from .control import add_controls
from .dashboard import Dashboard
from .guard import Guard
from .images import add_images
from .middleware import API, ApiMiddleware
from .missing import add_missing_parts
from .operations import OPERATIONS
from .pages import Pages
from .server import Server
from .wire import Operation, dispatch

PREFIXES = ("/api/v1", "/api/latest")


def create_app(server: Server, default_project: str, dashboard_token: str | None = None) -> FastAPI:
    """Return the app of a server. Its control API and pages use `default_project` unless a request selects another.

    Args:
        server: The server's parts.
        default_project: The id of this project.
        dashboard_token: Lets other machines use the pages and the control API. Without it, only this machine can.
    """
    # A missing slash makes a path unknown. A redirect with 307 would be endless, because the API middleware removes
    # slashes.
    app = FastAPI(title="Stack Auth emulator", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for registered in sorted(OPERATIONS, key=lambda one: "{" in one.path):  # /users/me before /users/{user_id}
        for prefix in PREFIXES:
            app.add_route(prefix + registered.path, endpoint(server, registered), methods=[registered.method])
    for prefix in PREFIXES:
        add_missing_parts(app, prefix)
    add_images(app, server)
    add_controls(app, server, default_project)
    Pages(server, default_project).add_to(app)
    Dashboard(server, default_project, app.router).add_to(app)
    app.add_exception_handler(HTTPException, framework_answer)
    app.add_middleware(ApiMiddleware, server=server)
    app.add_middleware(Guard, public_url=server.public_url, token=dashboard_token)
    return app


def endpoint(server: Server, registered: Operation) -> Callable[[Request], Awaitable[Response]]:
    """Return the route function of an operation."""

    async def answer(request: Request) -> Response:
        return await dispatch(server, registered, request)

    return answer


async def framework_answer(request: Request, error: Exception) -> Response:
    """Respond to an unknown path with a text, and to an unknown method with an empty body."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this exception only
    if not API.match(request.url.path):
        return Response(status_code=error.status_code, headers=error.headers)
    if error.status_code == 404:  # Not Found
        return PlainTextResponse("404 - the API has no such page.", 404)
    return Response(status_code=error.status_code)  # Method Not Allowed, without the Allow header, as the real server
