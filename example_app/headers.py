"""Security headers for every response, and a Content-Security-Policy that only allows this app's own files."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STRICT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
POLICY = f"{STRICT}; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'"
# Swagger UI and ReDoc use inline scripts and styles.
DOCS = ("/docs", "/docs/oauth2-redirect", "/redoc")
DOCS_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'; worker-src blob:").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class SecurityHeaders:
    """Adds security headers. Existing headers of a response stay, so that the library's pages keep their policy.

    Args:
        app: The wrapped app.
        https: The public URL of the app. If it is https, browsers must use https.
    """

    def __init__(self, app: ASGIApp, https: str | None) -> None:
        self._app = app
        secure = (https or "").startswith("https://")
        self._headers = HEADERS | ({"strict-transport-security": "max-age=31536000"} if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                policy = DOCS_POLICY if scope["path"] in DOCS else POLICY
                for name, value in {"content-security-policy": policy, **self._headers}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
