"""What the routes take, by the auth server's own rules, so that a wrong value is named here and never sent.

The rules are those of `contract/endpoints.json` for each operation, and never stricter. Each is linear in the length of
its input.
"""

import json
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, SecretStr, StringConstraints

UUID = (
    r"^([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[1-5][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}"
    r"|00000000-0000-0000-0000-000000000000)$"
)
"""An id as the auth server writes them; as a pattern of JSON Schema."""
CODE_LENGTH = 45
"""Characters of every one-time code (contract/tokens.md §7)."""
MAX_PASSWORD = 70
MAX_JSON_VALUES = 20_000
"""Values that JSON of a caller's own may hold. A body of 1.5 MiB may hold half a million, which take over a second."""

_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def is_email(text: str) -> bool:
    """Return whether the operations that only look an address up accept it: `ada@localhost` does."""
    local, at, domain = text.partition("@")
    return bool(at and _LOCAL.fullmatch(local)) and all(map(_LABEL.fullmatch, domain.split(".")))


def is_new_email(text: str) -> bool:
    """Return whether the operations that send to an address accept it: they ask for a domain with a dot."""
    local, _, domain = text.partition("@")
    whole = all(local.split(".")) and "." in domain and len(domain.rpartition(".")[2]) > 1
    return whole and len(text) <= 256 and is_email(text)


def is_url(text: str) -> bool:
    """Return whether a text may be an address: it has a scheme and no blank."""
    return ":" in text and not any(map(str.isspace, text))


def _check_email(text: str) -> str:
    if not is_email(text):
        raise ValueError("must be an email address, such as ada@example.com")
    return text


def _check_new_email(text: str) -> str:
    if not is_new_email(text):
        raise ValueError("must be an email address with a full domain, such as ada@example.com")
    return text


def _check_url(text: str) -> str:
    if not is_url(text):
        raise ValueError("must be an address, such as data:image/png;base64,... or https://...")
    return text


def _check_number_of_values(value: object) -> object:
    """Count the values of parsed JSON before anything else walks them; the work ends at the limit."""
    left, count = [value], 0
    while left:
        outer = left.pop()
        inner = outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
        count += len(inner)
        if count > MAX_JSON_VALUES:
            raise ValueError(f"must have at most {MAX_JSON_VALUES} values")
        left.extend(inner)
    return value


def _check_json(value: JsonValue) -> JsonValue:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # numbers and characters that JSON does not have
        raise ValueError("must be JSON") from None
    return value


_EMAIL = {"description": "The e-mail address.", "examples": ["ada@example.com"]}
Email = Annotated[str, AfterValidator(_check_email), Field(**_EMAIL)]
"""An address that is looked up."""
NewEmail = Annotated[str, AfterValidator(_check_new_email), Field(max_length=256, **_EMAIL)]
"""An address that an account may get, or a code is sent to."""
Uuid = Annotated[str, StringConstraints(pattern=UUID)]
"""An id of the auth server."""
Url = Annotated[str, AfterValidator(_check_url)]
Json = Annotated[JsonValue, BeforeValidator(_check_number_of_values), AfterValidator(_check_json)]
OneTimeCode = Annotated[
    SecretStr,
    Field(
        min_length=CODE_LENGTH,
        max_length=CODE_LENGTH,
        description="The code of the link in the mail.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    ),
]
"""The code of a link in an email."""
Password = Annotated[
    SecretStr,
    Field(max_length=MAX_PASSWORD, description="8 to 70 characters.", examples=["correct horse battery staple"]),
]
