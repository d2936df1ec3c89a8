"""As whom a call is made, and the headers that say so (contract/tokens.md §4). Pure.

Law (design decision 15): a person's call goes out with server access only where the operation comes to the same
with either, and only where no publishable key is configured; the app's own name is taken by `as_server` alone.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

from fastapi_stackauth._version import __version__
from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.tokens import TokenSource
from fastapi_stackauth.errors import ConfigurationError, KnownApiError
from fastapi_stackauth.settings import Settings, documented_name

CLIENT_VERSION = f"python @fastapi_stackauth/python@{__version__}"
AccessType = Literal["client", "server"]
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Caller:
    """As whom calls are made. Its repr shows no token.

    Attributes:
        in_own_name: the app itself, with its secret key.
        access_token: the person's, where the caller is bound to one.
        token_source: the person's session, where the caller is bound to one.
        address: the end user's, where the auth server may know it.
    """

    in_own_name: bool = False
    access_token: str | None = field(default=None, repr=False)
    token_source: TokenSource | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)


def is_sendable(token: str) -> bool:
    """Whether a header can carry a token: visible ASCII (RFC 9110 §5.5)."""
    return _HEADER_SAFE.fullmatch(token) is not None


def check_sendable(settings: Settings) -> None:
    """Reject keys and ids that no header can carry, so that the first call of the auth server does not find them.

    Raises:
        ConfigurationError: it names the setting; a key is not shown.
    """
    for setting in ("project_id", "branch_id", "publishable_client_key", "secret_server_key"):
        value = getattr(settings, setting)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text and not is_sendable(text):
            raise _unsendable(setting)


def _unsendable(setting: str) -> ConfigurationError:
    return ConfigurationError(
        f"{setting} holds a character that cannot be sent, such as a blank, a line break or a letter with an accent. "
        f"Copy {documented_name(setting)} anew from the auth server's dashboard."
    )


def access_type(caller: Caller, call: Call, settings: Settings) -> AccessType:
    """As what a call is made.

    Raises:
        ConfigurationError: for an operation that only the app in its own name may do.
    """
    if caller.in_own_name:
        return "server"
    if call.rights == "server":
        raise ConfigurationError(f"{call.operation} takes the secret key: make this call on client.as_server().")
    return "client" if call.rights == "person" else settings.user_access_type


def headers_of(caller: Caller, call: Call, settings: Settings, access_token: str | None) -> dict[str, str]:
    """The headers of a call.

    Raises:
        ConfigurationError: where a setting that the call needs is missing or cannot be a header.
        AccessTokenRefused, SessionGone: for a token that cannot be a header, and so is none.
    """
    kind = access_type(caller, call, settings)
    headers = {
        "x-stack-access-type": kind,
        "x-stack-project-id": settings.require_project_id(),
        "x-stack-client-version": CLIENT_VERSION,
        **_key(kind, settings),
    }
    if settings.branch_id != "main":
        headers["x-stack-branch-id"] = settings.branch_id
    if caller.address:
        headers["x-forwarded-for"] = caller.address
    if access_token and not call.without_user:
        headers |= _person(access_token, call)
    if call.refresh_token is not None:
        headers |= _session(call.refresh_token, call)
    return {**headers, **call.headers}


def _key(kind: AccessType, settings: Settings) -> dict[str, str]:
    if kind == "server":
        return _key_header("secret_server_key", settings.secret_server_key)
    return _key_header("publishable_client_key", settings.publishable_client_key)


def _key_header(setting: str, key: SecretStr | None) -> dict[str, str]:
    if not key:
        return {}
    if not is_sendable(key.get_secret_value()):
        raise _unsendable(setting)
    return {f"x-stack-{setting.replace('_', '-')}": key.get_secret_value()}


def _person(access_token: str, call: Call) -> dict[str, str]:
    if not is_sendable(access_token):
        raise KnownApiError.of("UNPARSABLE_ACCESS_TOKEN", 401, operation=call.operation)
    # The gate for guests and restricted users is this library's own (`Require`); the server lets both pass.
    return {"x-stack-access-token": access_token, "x-stack-allow-anonymous-user": "true"}


def _session(refresh_token: str, call: Call) -> dict[str, str]:
    if not is_sendable(refresh_token):
        raise KnownApiError.of("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", 401, operation=call.operation)
    return {"x-stack-refresh-token": refresh_token}
