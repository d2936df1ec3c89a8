"""Security headers for every answer, and a Content-Security-Policy that allows this app's own files alone."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def policy(**sources: str) -> str:
    """A Content-Security-Policy: nothing but what is named."""
    named = {"default_src": "'none'", "frame_ancestors": "'none'", "base_uri": "'none'", **sources}
    return "; ".join(f"{directive.replace('_', '-')} {allowed}" for directive, allowed in named.items())


# Swagger UI and ReDoc start from a script within the page, and bring styles within it.
DOCS = ("/docs", "/docs/oauth2-redirect", "/redoc")
DOCS_POLICY = policy(
    script_src="'self' 'unsafe-inline'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self' data:",
    connect_src="'self'",
    worker_src="blob:",
)


class SecurityHeaders:
    """Adds security headers. Headers of a response stay, so that the router's own pages keep their policy.

    Args:
        app: what it wraps.
        https: whether the app's public URL is https; if so, browsers must use https.
    """

    def __init__(self, app: ASGIApp, https: str | None) -> None:
        self._app = app
        own = policy(
            script_src="'self'",
            style_src="'self'",
            img_src="'self' data:",
            connect_src="'self'",
            form_action="'self'",
        )
        self._headers = {
            "content-security-policy": own,
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }
        if (https or "").startswith("https://"):
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"] in DOCS:
                    headers.setdefault("content-security-policy", DOCS_POLICY)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
