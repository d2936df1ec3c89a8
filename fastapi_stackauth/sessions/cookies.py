"""Cookies as header values, pure: names and attributes follow the app's public origin, never the request (decision 11).

Over https the names carry the `__Host-` prefix, so that no sibling host can plant one (RFC 6265bis §4.1.3.2); with a
`cookie_domain` it is `__Secure-`; only a loopback http origin with `insecure_cookies=True` goes without.
"""

import re
from dataclasses import dataclass
from typing import Self

from fastapi_stackauth.errors import ConfigurationError, RequestError, UnexpectedAnswer
from fastapi_stackauth.settings import Settings

MAX_COOKIE = 4096
"""Bytes of name, value and attributes that every browser keeps (RFC 6265 §6.1)."""
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")  # RFC 6265 §4.1.1: nothing that ends a value


@dataclass(frozen=True)
class CookiePolicy:
    """How this app's cookies are named and sent.

    Attributes:
        prefix: what all names begin with.
        secure: whether they travel over https (and to loopback) alone.
        domain: the domain they are shared with; the host alone where None.
    """

    prefix: str
    secure: bool
    domain: str | None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy that the settings give.

        Raises:
            ConfigurationError: `app_url` is missing, or is plain http beyond loopback.
        """
        origin = settings.require_app_url("cookies")
        if settings.insecure_cookies:
            return cls(f"{settings.cookie_name}-", secure=False, domain=None)
        if not settings.cookies_possible:
            raise ConfigurationError(
                f"app_url is {origin}, and browsers keep no Secure cookies over plain http. Cookie sessions need https "
                "or localhost. Set STACK_APP_URL to the https origin of this app, or mount "
                'router(delivery="body").'
            )
        prefix = "__Secure-" if settings.cookie_domain else "__Host-"
        return cls(f"{prefix}{settings.cookie_name}-", secure=True, domain=settings.cookie_domain)

    def name(self, purpose: str) -> str:
        """The name of the cookie for a purpose, such as ``access``."""
        return self.prefix + purpose

    def set(self, purpose: str, value: str, max_age: int | None) -> bytes:
        """A `Set-Cookie` value; `max_age` in seconds, None for as long as the browser runs.

        Raises:
            UnexpectedAnswer: the value, which the auth server gave, is nothing that a cookie can hold.
            RequestError: 500, where browsers would not keep it.
        """
        if not _VALUE.fullmatch(value):
            raise UnexpectedAnswer
        lifetime = "" if max_age is None else f"; Max-Age={max_age}"
        header = f"{self.name(purpose)}={value}{lifetime}{self._attributes()}".encode("ascii")
        if len(header) > MAX_COOKIE:
            raise RequestError("session_too_large", reason=purpose)
        return header

    def remove(self, purpose: str) -> bytes:
        """A `Set-Cookie` value that removes the cookie."""
        return self.set(purpose, "", 0)

    def _attributes(self) -> str:
        domain = f"; Domain={self.domain}" if self.domain else ""
        secure = "; Secure" if self.secure else ""
        return f"; Path=/{domain}; HttpOnly; SameSite=Lax{secure}"
