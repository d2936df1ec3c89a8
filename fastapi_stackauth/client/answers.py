"""The one place that turns an answer into a typed error. Pure: an `Answer` in, an error or None out.

Codes decide, never texts: the server's sentences change between versions (contract/version_drift.md).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property

from fastapi_stackauth.errors import (
    MISCONFIGURATION_CODES,
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    KnownApiError,
    OAuthRefused,
    RateLimited,
    UnexpectedAnswer,
)

LONGEST_PAUSE = 3600.0
_KNOWN_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_OAUTH_CODE = re.compile(r"[a-z_]{1,64}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,100}")


@dataclass(frozen=True)
class Answer:
    """One answer of the server: its real status, its headers with lower-case names, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> "Answer":
        """The answer with the status that is meant, should the server have put it into a header (tokens.md §4)."""
        actual = _either(headers, "actual-status", re.compile(r"[1-5][0-9]{2}"))
        return cls(int(actual) if actual else status, headers, body)

    @cached_property
    def json(self) -> object:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def request_id(self) -> str | None:
        """The server's id of this exchange."""
        return _either(self.headers, "request-id", _REQUEST_ID)

    @property
    def known_error(self) -> str | None:
        """The server's code: from its header, else from the body, where some operations alone put it."""
        return _either(self.headers, "known-error", _KNOWN_CODE) or _matching(self._field("code"), _KNOWN_CODE)

    @property
    def oauth_error(self) -> str | None:
        """The code of OAuth's token endpoint (RFC 6749 §5.2), which stands where others put a sentence."""
        return _matching(self._field("error"), _OAUTH_CODE)

    @property
    def details(self) -> Mapping[str, object]:
        """The details of a known error."""
        details = self._field("details")
        return details if isinstance(details, dict) else {}

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to wait, from either form of the header (RFC 9110 §10.2.3), within reason."""
        value = self.headers.get("retry-after", "")
        seconds = float(value) if re.fullmatch("[0-9]+", value) else self._seconds_until(value)
        return None if seconds is None else min(max(seconds, 0.0), LONGEST_PAUSE)

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people: not the server's API, but what stands in its place, or a path it lacks."""
        return self.headers.get("content-type", "").lower().startswith("text/html")

    @property
    def date(self) -> float | None:
        """The server's own unix time when it answered; None for an answer out of a cache, which may be old."""
        return None if "age" in self.headers else _moment(self.headers.get("date", ""))

    def _seconds_until(self, moment: str) -> float | None:
        # Measured by the server's own clock, so that this one need not be right.
        until, date = _moment(moment), _moment(self.headers.get("date", ""))
        return None if until is None or date is None else until - date

    def _field(self, name: str) -> object:
        return self.json.get(name) if isinstance(self.json, dict) else None


def _either(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str | None:
    """A header under its newer or its older name (version_drift.md B), where it has the form it should have."""
    return _matching(headers.get(f"x-hexclave-{name}") or headers.get(f"x-stack-{name}"), form)


def _matching(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _moment(value: str) -> float | None:
    """An HTTP date (RFC 9110 §5.6.7) as unix time."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def error_of(answer: Answer, operation: str) -> AuthServerError | None:
    """The error an answer stands for, or None for a success."""
    request_id, asked = answer.request_id, answer.retry_after
    if 200 <= answer.status < 300:
        return None
    if answer.status == 429:
        return RateLimited(
            retry_after=1.0 if asked is None else asked, answer_status=429, operation=operation, request_id=request_id
        )
    if answer.status >= 400 and (code := answer.known_error):
        return _known(code, answer, operation)
    if answer.status >= 500:
        return AuthServerUnavailable(
            retry_after=5.0 if asked is None else asked,
            answer_status=answer.status,
            operation=operation,
            request_id=request_id,
        )
    return _refusal(answer, operation)


def _known(code: str, answer: Answer, operation: str) -> AuthServerError:
    if code in MISCONFIGURATION_CODES:
        message = f"{AuthServerMisconfigured.message} It says {code}."
        return AuthServerMisconfigured(message, operation=operation, request_id=answer.request_id)
    if code == "SCHEMA_ERROR" and _lacks_user(answer.details):
        return KnownApiError.of("USER_AUTHENTICATION_REQUIRED", 401, operation=operation, request_id=answer.request_id)
    return KnownApiError.of(code, answer.status, answer.details, operation=operation, request_id=answer.request_id)


def _lacks_user(details: Mapping[str, object]) -> bool:
    """Whether it is the user that a request lacks (corrections.md A8).

    Some operations have no code for that. What is looked for is no text but the field's path in the server's schema.
    """
    return "auth.user " in str(details.get("message", ""))


def _refusal(answer: Answer, operation: str) -> AuthServerError:
    if answer.status < 400 or answer.is_page:
        return UnexpectedAnswer(operation=operation, request_id=answer.request_id)
    if code := answer.oauth_error:
        return OAuthRefused(code, answer.status, operation=operation, request_id=answer.request_id)
    return UnexpectedAnswer(answer.status, operation=operation, request_id=answer.request_id)
