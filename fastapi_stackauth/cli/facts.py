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

    Causes that do not explain themselves: `name`: it does not resolve; `broken`: the connection ended, or what came was
    no HTTP; `unsent`: a setting cannot be sent; `login`: a wrong password; `extra`: a package is
    missing; `proxy`, `authorities`: the proxy or the trusted certificates of the environment cannot be used.
    """

    cause: Cause
    detail: str = ""


Outcome = ApiResponse | NoResponse


@dataclass
class Facts:
    """The collected facts. None: `doctor` did not ask.

    Attributes:
        client: the answer to `GET /projects/current`, asked as a front end would.
        server: the same, asked with the secret key.
        keys: the key set's answer.
        keys_seconds: how long that took, or how long `doctor` waited.
        flags: which flags of the key set's query the server knows: `anonymous`, `restricted`.
        fixed_keys: the ids of the keys that the settings fix; a text if they cannot be read.
        skew: seconds by which this machine's clock is behind the server's.
        at_odds: by setting, variables that hold different values, the one that counts first.
        unread: variables that look like this library's, and are not.
        names_itself: the origin that the server puts into its own links, and so into its tokens.
        by_proxy: whether the environment has this address asked for through a proxy.
        redis: whether Redis can be used, or why not.
        token: what the verifier makes of a token that was given.
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
