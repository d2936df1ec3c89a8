"""The schemas of requests: small composable checks.

Law: a check returns the value for the handlers or adds to the list of problems, and never raises. The loose casts (5
for "5", "true" for true) and the limits are those of the real server.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

MISSING: Final = object()
EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
STRICT_EMAIL = re.compile(r"[^.@]+(\.[^.@]+)*@[^@]*\.[^.@][^.@]+")
UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|0{8}-0{4}-0{4}-0{4}-0{12}", re.IGNORECASE
)
DOMAIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/?#\\\s:@\[\]]+|\[[0-9a-f:.]+\])(:(?P<port>\d{1,5}|\*))?([/?#][^\s\\]*)?",
    re.IGNORECASE,
)
"""A trusted domain. Its host may contain wildcards, and `*` as the port means any port."""
COUNTRY = re.compile(r"[A-Z]{2}")


def is_url(text: str) -> bool:
    """Return whether a text is an absolute http(s) or data URL without spaces."""
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port >= 0
    except ValueError:
        return False
    if parts.scheme in ("http", "https"):
        return port_is_fine and bool(parts.hostname) and not re.search(r"\s", text)
    return bool(parts.scheme) and ":" in text and not re.search(r"\s", text)


def is_base64(text: str) -> bool:
    """Return whether a text is padded base64."""
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


FORMS: Final[Mapping[str, Callable[[str], bool]]] = {
    "email": lambda text: bool(EMAIL.fullmatch(text)),
    "strict_email": lambda text: bool(EMAIL.fullmatch(text) and STRICT_EMAIL.fullmatch(text)) and len(text) <= 256,
    "url": is_url,
    "domain": lambda text: bool(DOMAIN.fullmatch(text)),
    "uuid": lambda text: bool(UUID.fullmatch(text)),
    "base64": is_base64,
    "country": lambda text: bool(COUNTRY.fullmatch(text)),
    "filled": lambda text: text != "",
    "permission": lambda text: bool(re.fullmatch(r"[a-z0-9_:]+", text)),
}


@dataclass
class Problems:
    """The errors of a request, as sentences, and whether it contains 'me' without a user."""

    me: str | None
    found: list[str] = field(default_factory=list)
    me_without_user: bool = False

    def add(self, sentence: str) -> None:
        """Add a problem."""
        self.found.append(sentence)


@dataclass(frozen=True, kw_only=True)
class Check:
    """Any JSON value."""

    required: bool = True
    nullable: bool = False

    def read(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401 - JSON from outside
        """Return the value for the handler, and add its problems."""
        if value is MISSING:
            if self.required:
                problems.add(f"{path} must be defined")
            return MISSING
        if value is None:
            if not self.nullable:
                problems.add(f"{path} cannot be null")
            return None
        return self.cast(value, path, problems)

    def cast(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401, ARG002 - JSON from outside
        """Cast and check a value that is not missing or null."""
        return value


@dataclass(frozen=True, kw_only=True)
class Text(Check):
    """A string. Numbers and booleans are converted to strings."""

    form: str | None = None
    choices: tuple[str, ...] = ()
    longest: int | None = None
    length: int | None = None

    def cast(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401 - JSON from outside
        """Return the text."""
        if isinstance(value, bool | int | float):
            value = str(value).lower() if isinstance(value, bool) else str(value)
        if not isinstance(value, str):
            problems.add(f"{path} must be a text")
        elif (sentence := self.complaint(value)) is not None:
            problems.add(f"{path} {sentence}")
        return value

    def complaint(self, text: str) -> str | None:
        """Return what is wrong with a text, or None."""
        if self.length is not None and len(text) != self.length:
            return f"must have {self.length} characters"
        if self.longest is not None and len(text) > self.longest:
            return f"must have at most {self.longest} characters"
        if self.choices and text not in self.choices:
            return f"must be one of {', '.join(self.choices)}"
        if self.form is not None and not FORMS[self.form](text):
            return f"must have the form: {self.form.replace('_', ' ')}"
        return None


@dataclass(frozen=True, kw_only=True)
class UserId(Check):
    """A user's UUID, or 'me' for the user of the access token."""

    def cast(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401 - JSON from outside
        """Return the id in lower case."""
        if value == "me":
            problems.me_without_user |= problems.me is None
            return problems.me
        if not isinstance(value, str) or not UUID.fullmatch(value):
            problems.add(f"{path} must be a UUID or 'me'")
            return value
        return value.lower()


@dataclass(frozen=True, kw_only=True)
class Flag(Check):
    """A boolean, or the strings 'true' and 'false'."""

    only: bool | None = None

    def cast(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401 - JSON from outside
        """Return the boolean."""
        flag = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
        if not isinstance(flag, bool):
            problems.add(f"{path} must be a boolean")
        elif self.only is not None and flag is not self.only:
            problems.add(f"{path} may only be {str(self.only).lower()}")
        return flag


@dataclass(frozen=True, kw_only=True)
class Number(Check):
    """A number or a numeric string; an integer if `whole`."""

    least: float | None = None
    most: float | None = None
    whole: bool = False

    def cast(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401 - JSON from outside
        """Return the number."""
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?", value):
            value = float(value) if "." in value else int(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            problems.add(f"{path} must be a number")
        elif not (self.least is None or value >= self.least) or not (self.most is None or value <= self.most):
            bounds = ((self.least, "at least"), (self.most, "at most"))
            problems.add(
                f"{path} must be " + " and ".join(f"{word} {bound}" for bound, word in bounds if bound is not None)
            )
        elif self.whole and isinstance(value, float) and not value.is_integer():
            problems.add(f"{path} must be an integer")
        return value


@dataclass(frozen=True, kw_only=True)
class Record(Check):
    """An object with these fields. Other fields are rejected, or kept if `open`."""

    fields: Mapping[str, Check]
    open: bool = False

    def cast(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401 - JSON from outside
        """Return the fields that are present."""
        if not isinstance(value, dict):
            problems.add(f"{path} must be an object")
            return value
        unknown = sorted(set(value) - set(self.fields))
        if unknown and not self.open:
            problems.add(f"{path} contains unknown properties: {', '.join(unknown)}"[:300])
        read = {
            name: check.read(value.get(name, MISSING), f"{path}.{name}", problems)
            for name, check in self.fields.items()
        }
        kept = {name: value[name] for name in unknown} if self.open else {}
        return {**kept, **{name: item for name, item in read.items() if item is not MISSING}}


@dataclass(frozen=True, kw_only=True)
class Items(Check):
    """A list with items of one type."""

    of: Check

    def cast(self, value: Any, path: str, problems: Problems) -> Any:  # noqa: ANN401 - JSON from outside
        """Return the list."""
        if not isinstance(value, list):
            problems.add(f"{path} must be a list")
            return value
        return [self.of.read(item, f"{path}[{number}]", problems) for number, item in enumerate(value)]


PASSWORD: Final = Text(longest=70)
CODE: Final = Text(length=45)
URL: Final = Text(form="url")
OPTIONAL_URL: Final = Text(form="url", required=False)
TRUE_FALSE: Final = Text(choices=("true", "false"), required=False)
BOT_CHALLENGE: Final[Mapping[str, Check]] = {
    "bot_challenge_token": Text(required=False),
    "bot_challenge_phase": Text(required=False, choices=("invisible", "visible")),
    "bot_challenge_unavailable": Text(required=False, choices=("true",)),
}
