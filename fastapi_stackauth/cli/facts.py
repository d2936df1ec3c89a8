"""The facts that `doctor` collects about the setup; `probes.py` collects them, `diagnosis.py` judges them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from fastapi_stackauth.cli.explanation import Explanation
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.models import Project
from fastapi_stackauth.settings import Settings

Cause = Literal[
    "name", "refused", "tls", "plain_http", "timeout", "broken", "unsent", "login", "extra", "proxy", "authorities"
]


@dataclass(frozen=True)
class NoResponse:
    """The reason why there was no response; `detail` has more.

    Some causes need an explanation. `name`: the host name does not resolve. `broken`: the connection ended, or the
    response was not HTTP. `unsent`: a setting cannot be sent. `login`: the password is wrong. `extra`: a package is
    missing. `proxy`, `authorities`: the proxy or the trusted certificates of the environment cannot be used.
    """

    cause: Cause
    detail: str = ""


Outcome = ApiResponse | NoResponse


@dataclass
class Facts:
    """The collected facts. None means that `doctor` did not check.

    Attributes:
        client: The response to `GET /projects/current` with client access, like a front end's.
        server: The response to the same request with the secret key.
        keys: The response with the key set.
        keys_seconds: How long this took, or how long `doctor` waited.
        flags: The query flags for the key set that the server supports: `anonymous`, `restricted`.
        fixed_keys: The ids of the keys in the settings, or an error message.
        skew: Seconds by which this machine's clock is behind the server's.
        at_odds: Variables with different values, by setting. The one that is used comes first.
        unread: Variables that look like settings of this library but are not.
        names_itself: The origin that the server uses in its links, and therefore in its tokens.
        by_proxy: Whether the environment sends requests to the server through a proxy.
        redis: Whether Redis can be used, or the reason why not.
        token: The verifier's result for a given token.
    """

    settings: Settings
    client: Outcome
    at_odds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    server: Outcome | None = None
    keys: Outcome | None = None
    keys_seconds: float = 0.0
    flags: tuple[str, ...] = ()
    fixed_keys: frozenset[str] | str | None = None
    skew: float | None = None
    names_itself: str | None = None
    by_proxy: bool = False
    redis: NoResponse | Literal["connected"] | None = None
    token: Explanation | None = None


def find_project(*outcomes: Outcome | None) -> Project | None:
    """Return the project from the first response that has one."""
    for outcome in outcomes:
        if isinstance(outcome, ApiResponse) and outcome.status == 200:
            try:
                return Project.model_validate_json(outcome.body)
            except ValidationError:
                continue
    return None
