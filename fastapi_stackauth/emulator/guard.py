"""Protect the pages and the control API, which only this machine and callers with the dashboard token may use.

Law: outside of the API, a request must come from this machine or contain the dashboard token. Without the token, its
Host must be a loopback name or the public URL (against DNS rebinding). A browser's request from another site cannot
change anything.
"""

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .middleware import API

SAFE = ("GET", "HEAD", "OPTIONS")
# These pages for sign-in and images show no secrets, so any machine may open them.
OPEN = re.compile(r"/emulator/(oauth/[^/]+/authorize|images/[^/]+/[^/]+)")
COOKIE = "emulator_dashboard"
FORM = re.compile(r"[A-Za-z0-9_-]{16,200}")  # characters that cookies and URLs can contain unencoded
FORWARDED = ("forwarded", "x-forwarded-for")
STRANGER = (
    "The dashboard and the control API are closed to other machines: this request carries no valid dashboard token. "
    "Open the link that the emulator prints when it starts, which ends in ?token=..., or send the header "
    '"Authorization: Bearer TOKEN". EMULATOR_DASHBOARD_TOKEN or --dashboard-token sets the token.'
)
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


def check_dashboard_token(token: str) -> str:
    """Check the form of a dashboard token and return it.

    Raises:
        ValueError: It is malformed. The message does not repeat it.
    """
    if not FORM.fullmatch(token):
        raise ValueError(
            "dashboard_token has the wrong form; expected 16 to 200 letters, digits, hyphens and underscores. "
            "Set another one, or none to have one made."
        )
    return token


def is_local_peer(scope: Scope, headers: Headers) -> bool:
    """Return whether a request comes from this machine, without a proxy in between."""
    if scope.get("client") is None or any(name in headers for name in FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(scope["client"][0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def parse_host(header: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def is_own(origin: str, host: str) -> bool:
    """Return whether an Origin header has the host of the request. A malformed header does not."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


class Guard:
    """ASGI middleware around everything except the API.

    Args:
        app: The protected app.
        public_url: The server's public URL, with an allowed host.
        token: The dashboard token, with which other machines may use the pages. None means that they may not.
    """

    def __init__(self, app: ASGIApp, public_url: str, token: str | None = None) -> None:
        self._app, self._token = app, token
        self._public_host = parse_host(urlsplit(public_url).netloc)
        self._is_https = public_url.startswith("https:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or reject it."""
        if scope["type"] != "http" or API.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        app = self._early(scope, Headers(scope=scope)) or self._app

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await app(scope, receive, send_with_cookie)

    def _early(self, scope: Scope, headers: Headers) -> Response | None:
        """Return a redirect for the link with the token, a rejection, or None to serve the page."""
        if scope["method"] in SAFE and self._is_token(QueryParams(scope["query_string"]).get("token", "")):
            return self._entrance()
        rejection = self._rejection(scope, headers)
        return PlainTextResponse(rejection, 403) if rejection else None

    def _entrance(self) -> Response:
        """Return the redirect that stores the token in a cookie, so that it is no longer in the URL."""
        response = RedirectResponse("/", 303)
        response.set_cookie(COOKIE, self._token or "", httponly=True, samesite="lax", secure=self._is_https)
        return response

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def _has_token(self, headers: Headers) -> bool:
        """Return whether a request contains the dashboard token, as a bearer or in a cookie."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip()):
            return True
        return self._is_token(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))

    def _rejection(self, scope: Scope, headers: Headers) -> str | None:
        """Return the reason for rejecting a request, or None."""
        if not self._has_token(headers):
            if not OPEN.fullmatch(scope["path"]) and not is_local_peer(scope, headers):
                return STRANGER
            host = parse_host(headers.get("host", ""))
            if not is_loopback(host) and host != self._public_host:
                return "This page is not available under this host name. Use localhost or 127.0.0.1."
        if scope["method"] in SAFE:
            return None
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "Requests from other sites are not allowed."
        origin = headers.get("origin")
        if origin is not None and not is_own(origin, headers.get("host", "")):
            return "Requests from other sites are not allowed."
        return None
