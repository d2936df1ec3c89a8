"""`make test-real`: the tests that can run against any auth server, and what each needs of it (CONTRIBUTING.md).

A test says what it needs with `@pytest.mark.needs(...)`. Against the emulator all of it is there. With `--real FILE`,
tests whose needs the file does not meet are skipped, and the end of the run lists them by the option that enables them.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from dotenv import dotenv_values

from fastapi_stackauth.settings import Settings, environment_names
from tests.support.inbucket import Mailbox

NEEDS = {
    "secret_key": "STACK_SECRET_SERVER_KEY in the env file: the project's secret key",
    "mail": "TEST_MAIL_URL in the env file: an Inbucket-compatible mail catcher that gets the server's emails",
    "provider": "TEST_PROVIDER in the env file: the id of an OAuth provider with a mock page (a field, a button)",
    "password": "a switch in the project's dashboard: allow sign-in with a password",
    "magic_link": "a switch in the project's dashboard: allow sign-in with a code or link by email",
    "passkey": "a switch in the project's dashboard: allow sign-in with a passkey",
    "client_teams": "a switch in the project's dashboard: let users create teams",
    "user_deletion": "a switch in the project's dashboard: let users delete their accounts",
    "emulator": "the control API or the sample users of the emulator, which no option replaces; see `make test`",
}
_CONFIG = {
    "password": "credential_enabled",
    "magic_link": "magic_link_enabled",
    "passkey": "passkey_enabled",
    "client_teams": "client_team_creation_enabled",
    "user_deletion": "client_user_deletion_enabled",
}
KEY = pytest.StashKey["RealServer"]()


@dataclass
class RealServer:
    """The auth server of an env file, and what there is beside it."""

    environment: dict[str, str] = field(repr=False)
    config: dict[str, Any] = field(repr=False)
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def url(self) -> str:
        """Where it is."""
        return _value(self.environment, "base_url") or ""

    @property
    def mailbox(self) -> Mailbox | None:
        """The mail catcher."""
        url = self.environment.get("TEST_MAIL_URL")
        return Mailbox(url.rstrip("/")) if url else None

    @property
    def provider(self) -> str | None:
        """The mock provider's id."""
        return self.environment.get("TEST_PROVIDER")

    def missing(self, needs: Iterable[str]) -> list[str]:
        """Return which of these needs are not met."""
        return [need for need in needs if not self._has(need)]

    def _has(self, need: str) -> bool:
        if need in _CONFIG:
            return bool(self.config.get(_CONFIG[need]))
        return {
            "secret_key": bool(_value(self.environment, "secret_server_key")),
            "mail": self.mailbox is not None,
            "provider": self.provider in [each["id"] for each in self.config.get("enabled_oauth_providers", [])],
        }.get(need, False)


def _value(environment: dict[str, str], field_name: str) -> str | None:
    return next((environment[name] for name in environment_names(field_name) if environment.get(name)), None)


def load(file: str) -> RealServer:
    """Return the server that an env file names.

    Raises:
        pytest.UsageError: the file, a variable or the server is not there.
    """
    if not Path(file).is_file():
        raise pytest.UsageError(f"ENV_FILE must name an env file; {file!r} is none. Try: make test-real ENV_FILE=.env")
    given = {name: value for name, value in dotenv_values(file).items() if value}
    wanted = {name: value for name, value in os.environ.items() if name.startswith("TEST_")} | given
    for field_name in ("project_id", "base_url"):
        if not _value(wanted, field_name):
            raise pytest.UsageError(f"{file} must set one of {', '.join(environment_names(field_name))}.")
    return RealServer(wanted, _project_config(wanted))


def _project_config(environment: dict[str, str]) -> dict[str, Any]:
    key = _value(environment, "publishable_client_key")
    headers = {"x-stack-access-type": "client", "x-stack-project-id": _value(environment, "project_id") or ""}
    headers |= {"x-stack-publishable-client-key": key} if key else {}
    url = Settings(base_url=_value(environment, "base_url") or "").base_url
    try:
        response = httpx.get(f"{url}/api/v1/projects/current", headers=headers, timeout=20)
        return dict(response.raise_for_status().json()["config"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        why = f"status {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else str(error)
        raise pytest.UsageError(f"The auth server at {url} does not show the project: {why}.") from None


def add_option(parser: pytest.Parser) -> None:
    """Declare `--real`."""
    parser.addoption("--real", metavar="ENV_FILE", help="run against the auth server of this env file (make test-real)")


def configure(config: pytest.Config) -> None:
    """Declare the marker, and read the env file."""
    config.addinivalue_line("markers", "needs(*names): what a test needs of a real auth server (tests/support/real.py)")
    if file := config.getoption("--real"):
        config.stash[KEY] = load(str(file))


def skip_what_is_not_there(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests whose needs a real server does not meet."""
    for item in items:
        needs = [str(need) for mark in item.iter_markers("needs") for need in mark.args]
        assert set(needs) <= set(NEEDS), f"{item.nodeid} needs something unknown: {needs}"
        if (real := config.stash.get(KEY, None)) and (missing := real.missing(needs)):
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))
            for need in missing:
                real.skipped[need].append(item.nodeid)


def summarize(reporter: Any, config: pytest.Config) -> None:
    """List what was skipped, by the option that enables it."""
    if (real := config.stash.get(KEY, None)) is None:
        return
    reporter.section(f"auth server: {real.url}")
    for need, tests in sorted(real.skipped.items()):
        reporter.line(f"{len(tests)} skipped. They need {NEEDS[need]}")
        for test in tests:
            reporter.line(f"    {test}")
    if not real.skipped:
        reporter.line("nothing was skipped")
