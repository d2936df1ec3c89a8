"""Who may use the pages and the control API: this machine's user, not the web pages they visit.

Law: outside the API, the Host must be a loopback name or the public address (against DNS rebinding), and a browser's
request from another site changes nothing.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .edge import API

SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    ),
)


def is_loopback(host: str) -> bool:
    """Return whether a host name always means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def is_own(origin: str, host: str) -> bool:
    """Return whether an Origin header names the host that was asked; one that cannot be read does not."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


class Guard:
    """ASGI middleware around everything but the API."""

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self._app, self._public_host = app, host_of(urlsplit(public_url).netloc)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http" or API.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope["method"], Headers(scope=scope))
        app = PlainTextResponse(refusal, 403) if refusal else self._app

        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await app(scope, receive, finished)

    def refusal(self, method: str, headers: Headers) -> str | None:
        """Return why a request is refused, or None."""
        host = host_of(headers.get("host", ""))
        if not is_loopback(host) and host != self._public_host:
            return "This page answers on this machine's own names only."
        if method in SAFE:
            return None
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "Another site may not do this."
        origin = headers.get("origin")
        if origin is not None and not is_own(origin, headers.get("host", "")):
            return "Another site may not do this."
        return None
