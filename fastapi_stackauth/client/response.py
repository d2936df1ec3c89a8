"""The auth server's response, and the typed error for it. Pure functions.

Law: only error codes decide. The server's texts change between versions (contract/version_drift.md).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TypedDict

from fastapi_stackauth.errors import (
    MISCONFIGURATION_CODES,
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerRateLimited,
    AuthServerUnavailable,
    KnownApiError,
    OAuthTokenError,
    UnexpectedResponse,
)

LONGEST_PAUSE = 3600.0
_STATUS = re.compile(r"[1-5][0-9]{2}")
_KNOWN_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_OAUTH_CODE = re.compile(r"[a-z_]{1,64}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,100}")


@dataclass(frozen=True)
class ApiResponse:
    """A response of the auth server: its real status, its headers with lower-case names, and its body.

    The repr shows the status alone: headers and body may hold tokens.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def from_http(cls, status: int, headers: Mapping[str, str], body: bytes) -> "ApiResponse":
        """Return the response with its real status, which the server may send in a header (tokens.md §4)."""
        lowered = {name.lower(): value for name, value in headers.items()}
        actual = _stack_header(lowered, "actual-status", _STATUS)
        return cls(int(actual) if actual else status, lowered, body)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def json(self) -> object:
        """The body as JSON; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def request_id(self) -> str | None:
        """The auth server's id of this request."""
        return _stack_header(self.headers, "request-id", _REQUEST_ID)

    @property
    def known_error(self) -> str | None:
        """The server's error code, from the header or else from the body: some operations send it only there."""
        return _stack_header(self.headers, "known-error", _KNOWN_CODE) or _match(self._field("code"), _KNOWN_CODE)

    @property
    def oauth_error(self) -> str | None:
        """The error code of OAuth's token endpoint (RFC 6749 §5.2). Other operations use this field for a sentence."""
        return _match(self._field("error"), _OAUTH_CODE)

    @property
    def details(self) -> Mapping[str, object]:
        """The details of a known error."""
        details = self._field("details")
        return details if isinstance(details, dict) else {}

    @property
    def retry_after(self) -> float | None:
        """The seconds to wait from `Retry-After`, in either of its forms (RFC 9110 §10.2.3); at most one hour."""
        value = self.headers.get("retry-after", "")
        if re.fullmatch("[0-9]+", value):
            seconds = float(value)
        else:  # compared with the server's own clock, because the clock of this host may be wrong
            until, date = _unix_time(value), _unix_time(self.headers.get("date", ""))
            if until is None or date is None:
                return None
            seconds = until - date
        return min(max(seconds, 0.0), LONGEST_PAUSE)

    @property
    def is_page(self) -> bool:
        """Whether the response is a web page, sent by a proxy in front of the API or for an unknown path."""
        return self.headers.get("content-type", "").lower().startswith("text/html")

    @property
    def date(self) -> float | None:
        """The server's Unix time of the response; None if the response comes from a cache and may be old."""
        return None if "age" in self.headers else _unix_time(self.headers.get("date", ""))

    def _field(self, name: str) -> object:
        return self.json.get(name) if isinstance(self.json, dict) else None


def _stack_header(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str | None:
    """Return the header with the newer or the older name (version_drift.md B), if it has the expected form."""
    value = headers.get(f"x-hexclave-{name}") or headers.get(f"x-stack-{name}")
    return value if value and form.fullmatch(value) else None


def _match(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _unix_time(http_date: str) -> float | None:
    """Return an HTTP date (RFC 9110 §5.6.7) as Unix time."""
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


class _Origin(TypedDict):
    operation: str
    request_id: str | None


def error_from_response(response: ApiResponse, operation: str) -> AuthServerError:
    """Return the error for a response that is not a success."""
    status, pause = response.status, response.retry_after
    origin = _Origin(operation=operation, request_id=response.request_id)
    if status == 429:
        return AuthServerRateLimited(retry_after=1.0 if pause is None else pause, response_status=429, **origin)
    if status >= 400 and (code := response.known_error):
        return _known_error(code, response, origin)
    if status >= 500:
        return AuthServerUnavailable(retry_after=5.0 if pause is None else pause, response_status=status, **origin)
    if status < 400 or response.is_page:
        return UnexpectedResponse(**origin)
    if code := response.oauth_error:
        return OAuthTokenError(code, status, **origin)
    return UnexpectedResponse(status, **origin)


def _known_error(code: str, response: ApiResponse, origin: _Origin) -> AuthServerError:
    if code in MISCONFIGURATION_CODES:
        return AuthServerMisconfigured(f"{AuthServerMisconfigured.message} It says {code}.", **origin)
    # Some operations have no code for "no user is signed in" (corrections.md A8). The check searches for the field's
    # path in the server's schema, not for a text.
    if code == "SCHEMA_ERROR" and "auth.user " in str(response.details.get("message", "")):
        return KnownApiError.of("USER_AUTHENTICATION_REQUIRED", 401, **origin)
    return KnownApiError.of(code, response.status, response.details, **origin)
