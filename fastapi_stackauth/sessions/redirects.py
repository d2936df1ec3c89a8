"""Check the target of a redirect: a path of this app, or a URL that the settings allow (decision 12).

Browsers parse URLs more leniently than RFC 3986: they treat a backslash as a slash, and remove tabs and line breaks. So
a target that a browser might parse differently is rejected.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fastapi_stackauth.settings import Settings, to_origin

MAX_ADDRESS = 2_000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def allowed_redirect(address: str | None, settings: Settings) -> str | None:
    """Return the URL of a redirect target, or None if the settings do not allow it.

    Args:
        address: A path of this app such as ``/notes?page=2``, or a complete URL.
        settings: `app_url`, `trusted_origins` and `redirect_urls`.
    """
    if not isinstance(address, str) or not address or len(address) > MAX_ADDRESS or not _plain(address):
        return None
    if address.startswith("/"):
        return None if address.startswith("//") else address
    return address if _is_listed(address, settings) else None


def with_query(address: str, **more: str) -> str:
    """Return a URL with additional query parameters, which replace parameters with the same name."""
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in more]
    return urlunsplit(parts._replace(query=urlencode([*kept, *more.items()]))) if more else address


def is_loopback(address: str) -> bool:
    """Whether a URL is on the caller's own machine, on any port (RFC 8252 §7.3)."""
    if len(address) > MAX_ADDRESS or not _plain(address):
        return False
    try:
        parts, origin = urlsplit(address), to_origin(address)
    except ValueError:
        return False
    return parts.hostname in _LOOPBACK and origin.startswith("http://") and "@" not in parts.netloc


def _plain(address: str) -> bool:
    """Whether all parsers read a URL in the same way: it contains only visible ASCII and no backslash."""
    return address.isascii() and address.isprintable() and not set(address) & set(' \\<>"')


def _is_listed(address: str, settings: Settings) -> bool:
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https"):
            return any(_is_app_scheme(prefix) and address.startswith(prefix) for prefix in settings.redirect_urls)
        origin = to_origin(address)
    except ValueError:
        return False
    named = {settings.app_url, *settings.trusted_origins}
    named |= {to_origin(url) for url in settings.redirect_urls if not _is_app_scheme(url)}
    return "@" not in parts.netloc and origin in named and address.startswith(f"{parts.scheme}://")


def _is_app_scheme(url: str) -> bool:
    return not url.startswith(("http://", "https://"))
