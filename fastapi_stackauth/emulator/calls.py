"""The latest API calls for the dashboard: requests and responses without credentials.

Law: secrets are masked before a call is stored. If a body is neither JSON nor a form, only its size is stored.
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from .reading import parse_json

KEPT = 200
HIDDEN = "\N{HORIZONTAL ELLIPSIS}"
LONGEST = 4_000
"""The maximum size of a stored body. Of a longer body, only the size is stored."""
SECRET_NAME = re.compile(
    r"token|secret|password|passcode|code|otp|key|nonce|challenge|credential|signature|verifier|state|totp|assertion"
    r"|attestation|authenticator|hash|^value$|url$|^link$|redirect|authorization",
    re.IGNORECASE,
)
PLAIN_NAMES = frozenset({"token_type", "country_code", "grant_type", "response_type"})
SECRET_FORM = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{32,}|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
ERROR_CODE = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)+")  # codes for signing in contain no underscore


@dataclass(frozen=True)
class ApiCall:
    """An API call with masked secrets."""

    at: float
    method: str
    path: str
    query: str
    access: str
    status: int
    known_error: str
    asked: str
    answered: str


class Calls:
    """The latest calls, newest first."""

    def __init__(self) -> None:
        self._calls: deque[ApiCall] = deque(maxlen=KEPT)

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator of calls
        return iter(list(self._calls))

    def add(self, call: ApiCall) -> None:
        """Store a call."""
        self._calls.appendleft(call)

    def clear(self) -> None:
        """Delete all calls."""
        self._calls.clear()


def masked_body(body: bytes, content_type: str, *, answered: bool = False) -> str:
    """Return a body without secrets, or an empty string. In responses, `code` may be an error code."""
    if not body:
        return ""
    kind = content_type.partition(";")[0].strip().lower()
    size = f"({len(body)} bytes)"
    if len(body) > LONGEST:
        return size
    try:
        if kind == "application/json":
            return json.dumps(mask(parse_json(body), answered=answered), ensure_ascii=False, indent=1)
        if kind == "application/x-www-form-urlencoded":
            return masked_query(body.decode())
    except ValueError:  # half a surrogate pair too, which no page can show
        return size
    return size


def masked_query(query: str) -> str:
    """Return a query string or a form without secrets."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(f"{masked_text(name)}={mask(value, is_secret_name(name))}" for name, value in pairs)


def masked_path(path: str) -> str:
    """Return a path without secrets."""
    return "/".join(masked_text(segment) for segment in path.split("/"))


def mask(value: Any, secret: bool = False, *, answered: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON value in which all members with the name of a secret are masked."""
    if isinstance(value, Mapping):
        view = {}
        for name, item in value.items():
            hidden = secret or (is_secret_name(name) and not is_error_code(name, item, answered))
            view[masked_text(name)] = mask(item, hidden, answered=answered)
        return view
    if isinstance(value, list):
        return [mask(item, secret, answered=answered) for item in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    if secret:
        return HIDDEN
    return masked_text(value) if isinstance(value, str) else value


def masked_text(text: str) -> str:
    """Return a string, masked if it has the form of a secret."""
    return HIDDEN if SECRET_FORM.search(text) and not UUID.fullmatch(text) else text


def is_secret_name(name: str) -> bool:
    """Return whether a member with this name may be a secret."""
    return name not in PLAIN_NAMES and SECRET_NAME.search(name) is not None


def is_error_code(name: str, value: object, answered: bool) -> bool:
    """Return whether a value is the error code of a response."""
    return answered and name == "code" and isinstance(value, str) and ERROR_CODE.fullmatch(value) is not None
