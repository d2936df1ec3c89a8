"""The common parts of all pages: templates, targets of forms, messages, and error pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from example_app.auth import MaybeAnybody
from example_app.texts import heading, notice, sentence
from fastapi_stackauth import StackAuthError, User, stack_auth_error_handler

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
templates = Jinja2Templates(Path(__file__).with_name("templates"))

FOR_PROGRAMS = ("/api/", "/auth/", "/health/")
LONGEST_ADDRESS = 600  # quoted within another one it must stay below what the router takes: 2000 characters


def form_action(route: str, done: str, failed: str) -> str:
    """Return the target of a form: a route of the auth router, which redirects the browser to one of two pages."""
    return f"/auth{route}?{urlencode({'on_success': done, 'on_error': failed})}"


def local(address: str | None, default: str = "/notes") -> str:
    """An address within this app, from a query; the default for anything else."""
    if not address or len(address) > LONGEST_ADDRESS or not address.startswith("/") or address.startswith("//"):
        return default
    plain = address.isascii() and address.isprintable() and not set(address) & set(' \\<>"')
    return address if plain else default


def display_name(user: User | None) -> str:
    """Return the name of a user."""
    if user is None:
        return ""
    return user.display_name or user.email or ("Guest" if user.is_anonymous else "Somebody")


templates.env.globals.update(form_action=form_action, display_name=display_name)
Render = Callable[..., HTMLResponse]


async def renderer(request: Request, user: MaybeAnybody) -> Render:
    """Return a function that renders a template for the caller, with the notice of the query."""

    def render(name: str, status_code: int = 200, **values: Any) -> HTMLResponse:  # noqa: ANN401 - any template's
        shown = {"user": user, "problem": sentence(request.query_params.get("error")), **values}
        shown.setdefault("notice", notice(request.query_params.get("done")))
        return templates.TemplateResponse(request, name, shown, status_code)

    return render


Page = Annotated[Render, Depends(renderer)]


@router.get("/")
async def home(page: Page) -> HTMLResponse:
    return page("home.html")


async def show_error(connection: HTTPConnection, error: Exception) -> Response | None:
    """Show an error of the library as a page in a browser, else as the library's response."""
    answer = await stack_auth_error_handler(connection, error)
    if answer is None or answer.status_code == 303 or not isinstance(error, StackAuthError) or not _reads(connection):
        return answer
    shown = {"code": error.code, "title": heading(error.code), "text": sentence(error.code), "here": _here(connection)}
    return _error_page(connection, shown, answer.status_code)


async def show_http_error(request: Request, error: Exception) -> Response:
    """Pages that do not exist, and the like."""
    if not isinstance(error, HTTPException):
        raise error
    if not _reads(request):
        return await http_exception_handler(request, error)
    text = "There is no such page." if error.status_code == 404 else "This cannot be done here."
    page = _error_page(request, {"code": "", "title": "Not here", "text": text, "here": "/"}, error.status_code)
    page.headers.update(error.headers or {})  # such as Allow
    return page


async def show_invalid(request: Request, error: Exception) -> Response:
    """Show an invalid request, which no form of this app sends; programs get the details."""
    if not isinstance(error, RequestValidationError):
        raise error
    if not _reads(request):
        return await request_validation_exception_handler(request, error)
    shown = {"code": "", "title": heading(""), "text": sentence("request_invalid"), "here": "/"}
    return _error_page(request, shown, 422)


async def show_failure(request: Request, _: Exception) -> Response:
    """Show an unexpected error; the log has the details."""
    if not _reads(request):
        return PlainTextResponse("Internal Server Error", 500)
    text = "This is our mistake. Try again soon."
    return _error_page(request, {"code": "", "title": heading(""), "text": text, "here": "/"}, 500)


def _error_page(connection: HTTPConnection, shown: dict[str, Any], status: int) -> Response:
    request = Request(connection.scope)
    user = getattr(request.state, "user", None)  # the library sets the caller there if a dependency has identified them
    page = templates.TemplateResponse(request, "error.html", {"user": user, **shown}, status)
    page.headers["cache-control"] = "no-store"
    return page


def _reads(connection: HTTPConnection) -> bool:
    """Whether a browser requests a page, or posts one of this app's forms."""
    path = connection.scope["path"]
    asks = "text/html" in connection.headers.get("accept", "")
    return connection.scope["type"] == "http" and asks and not path.startswith(FOR_PROGRAMS)


def _here(connection: HTTPConnection) -> str:
    """Return the page to return to; None after a form, which a link cannot send again."""
    url = connection.url
    return local(url.path + (f"?{url.query}" if url.query else "")) if connection.scope["method"] == "GET" else "/"
