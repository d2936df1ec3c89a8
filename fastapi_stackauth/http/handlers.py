"""Convert errors to responses: RFC 9457 problem documents, or FastAPI's own `detail` format.

A response only contains constants and public details. It never repeats parts of the request.
"""

import logging
import re
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.websockets import WebSocket, WebSocketState

from fastapi_stackauth.errors import (
    AuthError,
    AuthServerMisconfigured,
    ConfigurationError,
    RequestInvalid,
    StackAuthError,
    VerificationUnavailable,
)
from fastapi_stackauth.errors.problems import PROBLEM_MEDIA_TYPE, get_error_headers, problem_document
from fastapi_stackauth.http.installed import answering_services, find_installation, find_owner
from fastapi_stackauth.runtime.events import ERROR_RETURNED, AuthEvents, get_error_code
from fastapi_stackauth.services import Services, Stack
from fastapi_stackauth.sessions.context import get_context
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.startup.configuration import find_missing, report_missing
from fastapi_stackauth.verification.rejections import is_refreshable

POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1
_MAX_ACCEPT = 1_000
_HTML_OR_JSON = ("text/html", "application/json", PROBLEM_MEDIA_TYPE)
_WEIGHT = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")
_PATH_SAFE = "/:@!$&'()*+,;="  # RFC 3986 §3.3


def error_response(error: StackAuthError, *, shape: str = "problem", docs_url: str | None = None) -> Response:
    """Build the response for an error.

    Args:
        error: Any error of this library.
        shape: ``problem``, or ``detail`` for FastAPI's own ``{"detail": ...}``.
        docs_url: The URL of a page about errors. The problem's `type` is this URL with the code appended.
    """
    if shape == "detail":
        return JSONResponse({"detail": error.message}, error.status_code, get_error_headers(error))
    document = problem_document(error, instance=error.instance, docs_url=docs_url)
    return JSONResponse(document, error.status_code, get_error_headers(error), media_type=PROBLEM_MEDIA_TYPE)


async def stack_auth_error_handler(connection: HTTPConnection, error: Exception) -> Response | None:
    """Handle a `StackAuthError`. `install` registers this handler unless the app has its own.

    If a WebSocket has not been accepted yet, the handler sends a denial response, or closes it if the server does not
    support that. It closes an accepted WebSocket with code 1008.

    Raises:
        ConfigurationError: The error is not about a missing setting. The response is a plain 500, and the log contains
            a traceback.
    """
    if not isinstance(error, StackAuthError) or (isinstance(error, ConfigurationError) and error.setting is None):
        raise error
    error = await refresh_rejected_session(connection, error)
    services = answering_services(connection)
    if services is None:
        log_error_response(error, AuthEvents())
        response = error_response(error)
    else:
        if isinstance(error, ConfigurationError):
            _report_setting(connection, services, error)
        log_error_response(error, services.events)
        is_router = get_context(connection.scope).services is not None
        stack = find_owner(connection.scope["app"], services)
        if not is_router and (sign_in_page := find_sign_in_page(connection, error, services.settings, stack)):
            return RedirectResponse(sign_in_page, HTTPStatus.SEE_OTHER, {"cache-control": "no-store"})
        pages = stack.prebuilt_pages if stack is not None and not is_router else None
        if pages is not None and isinstance(connection, Request) and prefers_html(connection):
            return await pages.show_error(connection, services, error)
        settings = services.settings
        shape = "problem" if _is_call_in_process(connection) else settings.error_format  # a tool error has a code
        response = error_response(error, shape=shape, docs_url=settings.error_docs_url)
    if isinstance(connection, WebSocket):
        return await _refuse_websocket(connection, response)
    return response


async def refresh_rejected_session(connection: HTTPConnection, error: StackAuthError) -> StackAuthError:
    """Return the error for a cookie session with a token that this worker accepts but the auth server rejects.

    The token has expired in the meantime, or its key was rotated. The session continues: the response is a 503 that
    also sets a new access cookie if possible. A 401 would make a front end sign the user out.
    """
    resolution = get_context(connection.scope).resolution
    if not is_refreshable(error) or resolution is None or resolution.credential is None:
        return error
    if resolution.credential.refresh_token is None:
        return error
    if not _is_open_websocket(connection):
        try:
            await resolution.services.sessions.replace(connection, resolution.credential)
        except AuthError as ended:
            return ended
        except StackAuthError:
            pass  # the refresh has logged the error, and the next request tries again
    return VerificationUnavailable(retry_after=1.0)


def _report_setting(connection: HTTPConnection, services: Services, error: ConfigurationError) -> None:
    """Report a missing setting that was not reported at start-up, because a mounted app's lifespan never runs."""
    app = connection.scope["app"]
    if (stack := find_owner(app, services)) is not None:
        missing = find_missing(app, stack, default=find_installation(app).default is stack)
        report_missing(services.events, [setting for setting in missing if setting.name == error.setting])


def _is_open_websocket(connection: HTTPConnection) -> bool:
    """Whether this is a WebSocket that can only be closed."""
    return isinstance(connection, WebSocket) and connection.application_state is not WebSocketState.CONNECTING


def find_sign_in_page(
    connection: HTTPConnection, error: StackAuthError, settings: Settings, stack: Stack | None
) -> str | None:
    """Return the sign-in page for a browser that opens a page without a session.

    It is the setting `sign_in_url`, else the prebuilt sign-in page if the stack has one.

    `prompt=login` (OpenID Connect Core §3.1.2.1) tells the page that a user is signed in and must sign in again.
    """
    sign_in_url = settings.sign_in_url
    if not sign_in_url and stack is not None and stack.pages_prefix is not None:
        sign_in_url = f"{stack.pages_prefix}/sign-in"
    if not sign_in_url or not isinstance(error, AuthError) or error.status_code != HTTPStatus.UNAUTHORIZED:
        return None
    if connection.scope.get("method") != "GET" or not prefers_html(connection):
        return None
    return_to = quote(find_address(connection), safe="")
    separator = "&" if "?" in sign_in_url else "?"
    prompt = "&prompt=login" if error.code == "reauthentication_required" else ""
    return f"{sign_in_url}{separator}return_to={return_to}{prompt}"


def find_address(connection: HTTPConnection) -> str:
    """Return the path and query of a request.

    They come from the scope, because `connection.url` contains the Host header and decodes the query as UTF-8.
    """
    query = quote(connection.scope.get("query_string", b""), safe=_PATH_SAFE + "?%")
    return quote(connection.scope["path"], safe=_PATH_SAFE) + (f"?{query}" if query else "")


def prefers_html(connection: HTTPConnection) -> bool:
    """Return whether the caller wants HTML rather than JSON, as browsers do that open a page (RFC 9110 §12.5.1).

    If both have the same weight in `Accept`, the first one counts. Wildcards are ignored. An agent that calls a route
    as a tool never gets a page, so that its errors keep their codes.
    """
    if _is_call_in_process(connection):
        return False
    accepted = ",".join(connection.headers.getlist("accept"))[:_MAX_ACCEPT]
    weights = [_read_weight(each) for each in accepted.split(",")]
    best = max((each for each in weights if each[0] in _HTML_OR_JSON), key=lambda each: each[1], default=("", 0.0))
    return best[0] == "text/html" and best[1] > 0


def _is_call_in_process(connection: HTTPConnection) -> bool:
    """Whether another part of the app sent this request, such as an MCP tool."""
    return get_context(connection.scope).caller is not None


def _read_weight(accepted: str) -> tuple[str, float]:
    """Return the media type of one element of `Accept`, and its weight."""
    media_type, *parameters = (part.strip().lower() for part in accepted.split(";"))
    given = next((part for part in parameters if part.startswith("q=")), "q=1")
    weight = _WEIGHT.fullmatch(given)
    return media_type, float(weight[1]) if weight else 0.0


async def _refuse_websocket(websocket: WebSocket, response: Response) -> Response | None:
    waiting = websocket.application_state is WebSocketState.CONNECTING
    if waiting and "websocket.http.response" in websocket.scope.get("extensions", {}):
        return response
    if websocket.application_state is not WebSocketState.DISCONNECTED:
        await websocket.close(POLICY_VIOLATION)
    return None


def log_error_response(error: StackAuthError, events: AuthEvents) -> None:
    """Log the error behind a response: ERROR if the operator must act, WARNING for outages, INFO for rejections."""
    failed = error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    level = logging.WARNING if failed else logging.INFO
    if isinstance(error, AuthServerMisconfigured):
        level = logging.ERROR
    if isinstance(error, ConfigurationError):
        level = logging.ERROR if events.is_first(str(error)) else logging.DEBUG
    code = get_error_code(error)
    detail = str(error) if failed else error.code if error.code != code else None
    if (
        isinstance(error, AuthError) and code == "cross_site_request"
    ):  # an Origin is not a secret, and the operator needs it
        detail = error.reason
    if isinstance(error, RequestInvalid) and error.reason:
        detail, level = error.reason, logging.WARNING
    events.emit(
        ERROR_RETURNED, level=level, status=error.status_code, code=code, detail=detail, instance=error.instance
    )
