"""The input types of the routes. They follow the auth server's rules, so that invalid values are never sent.

The rules are those of `contract/endpoints.json` for each operation, and never stricter. Each is linear in the length of
its input.
"""

import json
import re
from typing import Annotated

from fastapi import Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    StringConstraints,
    model_validator,
)

from fastapi_stackauth.models import BotChallenge

UUID = (
    r"^([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[1-5][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}"
    r"|00000000-0000-0000-0000-000000000000)$"
)
"""The pattern of an id of the auth server, for JSON Schema."""
CODE_LENGTH = 45
"""Characters of every one-time code (contract/tokens.md §7)."""
EXAMPLE_CODE = "7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"
MAX_PASSWORD = 70
MAX_JSON_VALUES = 20_000
"""The maximum number of values in a caller's JSON. The half million in 1.5 MiB would take over a second."""

LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")
DOMAIN_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def is_email(text: str) -> bool:
    """Return whether operations that only look up an address accept it, such as `ada@localhost`."""
    local, at, domain = text.partition("@")
    return bool(at and LOCAL_PART.fullmatch(local)) and all(map(DOMAIN_LABEL.fullmatch, domain.split(".")))


def is_new_email(text: str) -> bool:
    """Return whether operations that send to an address accept it: they require a domain with a dot."""
    local, _, domain = text.partition("@")
    whole = all(local.split(".")) and "." in domain and len(domain.rpartition(".")[2]) > 1
    return whole and len(text) <= 256 and is_email(text)


def is_url(text: str) -> bool:
    """Return whether a string may be a URL: it has a scheme and no spaces."""
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
    """Count the values of parsed JSON before other code iterates over them. Counting stops at the limit."""
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
    except (ValueError, RecursionError):  # numbers and characters that JSON cannot represent
        raise ValueError("must be JSON") from None
    return value


def _check_refresh_token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("must be visible ASCII characters")
    return value


_EMAIL = {"description": "The email address.", "examples": ["ada@example.com"]}
Email = Annotated[str, AfterValidator(_check_email), Field(**_EMAIL)]
"""The address of an existing account."""
NewEmail = Annotated[str, AfterValidator(_check_new_email), Field(max_length=256, **_EMAIL)]
"""An address for an account, or to which a code is sent."""
Uuid = Annotated[str, StringConstraints(pattern=UUID)]
"""An id of the auth server."""
Url = Annotated[str, AfterValidator(_check_url)]
Json = Annotated[JsonValue, BeforeValidator(_check_number_of_values), AfterValidator(_check_json)]
OneTimeCode = Annotated[
    SecretStr,
    Field(
        min_length=CODE_LENGTH,
        max_length=CODE_LENGTH,
        description="The code from the link in the email.",
        examples=[EXAMPLE_CODE],
    ),
]
"""The code from a link in an email."""
Password = Annotated[
    SecretStr,
    Field(max_length=MAX_PASSWORD, description="8 to 70 characters.", examples=["correct horse battery staple"]),
]
LinkCode = Annotated[str, Query(max_length=200, description="The code from the link.")]
"""The code in the URL of a page; the auth server checks it."""
RefreshToken = Annotated[
    SecretStr,
    AfterValidator(_check_refresh_token),
    Field(
        min_length=1,
        max_length=512,
        description="The refresh token that was returned at sign-in.",
        examples=[EXAMPLE_CODE],
    ),
]


class RequestBody(BaseModel):
    """Base class of request bodies, which accept only their declared fields and exact types."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _reject_other_fields(cls, body: object) -> object:
        """Reject unknown fields with a single error.

        There may be many of them, and an error must not echo field names sent by the client.
        """
        if isinstance(body, dict) and not body.keys() <= cls.model_fields.keys():
            raise ValueError(f"must have no other fields, only {', '.join(cls.model_fields)}")
        return body


ChallengeToken = Annotated[
    str | None,
    Field(
        repr=False,
        max_length=4096,
        description="The result of the bot challenge, if the project has one.",
        examples=["0.zrSnRHO7h0HwSjSCU8oyzbjEtD8p.d62306d4ee00c77dda690f959ebbd7bd"],
    ),
]
ChallengePhase = Annotated[
    str | None,
    Field(
        pattern="^(invisible|visible)$",
        description="The kind of the challenge: `invisible` or `visible`.",
        examples=["invisible"],
    ),
]
ChallengeUnavailable = Annotated[
    str | None,
    Field(pattern="^true$", description="`true` if the challenge could not be shown.", examples=["true"]),
]


class ChallengedBody(RequestBody):
    """A request body with an optional result of a bot challenge; the auth server may require it."""

    bot_challenge_token: ChallengeToken = None
    bot_challenge_phase: ChallengePhase = None
    bot_challenge_unavailable: ChallengeUnavailable = None

    @property
    def bot_challenge(self) -> BotChallenge | None:
        """The result of the bot challenge, or None."""
        return read_challenge(self.bot_challenge_token, self.bot_challenge_phase, self.bot_challenge_unavailable)


def read_challenge(
    bot_challenge_token: ChallengeToken = None,
    bot_challenge_phase: ChallengePhase = None,
    bot_challenge_unavailable: ChallengeUnavailable = None,
) -> BotChallenge | None:
    """Return the result of a bot challenge, or None. As a dependency, it reads the query parameters."""
    given = {
        "bot_challenge_token": bot_challenge_token,
        "bot_challenge_phase": bot_challenge_phase,
        "bot_challenge_unavailable": bot_challenge_unavailable,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return BotChallenge(**given) if given else None
