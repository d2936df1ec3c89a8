"""The parts of the real server's API that the emulator does not implement.

Law: a path of the real server is never 404. A missing operation returns 501 with an explanation. Implemented operations
are registered first and take precedence.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

MISSING_PARTS = {
    "/auth/oauth/callback/apple/native": "Apple's native sign-in",
    "/auth/oauth/cross-domain/authorize": "Cross-domain sign-in",
    "/check-version": "The check for new versions",
    "/data-vault/{rest:path}": "The data vault",
    "/emails/{rest:path}": "The email API",
    "/internal/{rest:path}": "The dashboard's API, including sign-up rules,",
    "/payments/{rest:path}": "The payments API",
    "/webhooks/{rest:path}": "The webhook API",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def add_missing_parts(app: FastAPI, prefix: str) -> None:
    """Register a 501 for all missing paths under a prefix."""
    for path, part in MISSING_PARTS.items():
        app.add_route(prefix + path, reject(part), methods=list(METHODS))


def reject(part: str) -> Callable[[Request], Awaitable[Response]]:
    """Return a route function that responds with 501 and the name of the missing part."""
    text = f"{part} is not emulated. Use a real auth server for it."

    async def endpoint(request: Request) -> Response:  # noqa: ARG001 - a route function takes a request
        return PlainTextResponse(text, 501)

    return endpoint
