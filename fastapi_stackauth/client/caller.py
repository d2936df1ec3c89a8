"""`ApiCaller` sends requests for one caller: access type, headers (contract/tokens.md §4), decoded responses.

Law (design decision 15): a user's request gets server access only if the operation has the same effect with either
access type, and only if no publishable key is configured. Only `as_server` acts as the app itself.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from fastapi_stackauth._version import __version__
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.client.tokens import TokenSource
from fastapi_stackauth.client.transport import Transport
from fastapi_stackauth.errors import (
    AccessTokenRejected,
    AuthServerError,
    ConfigurationError,
    KnownApiError,
    UnexpectedResponse,
)
from fastapi_stackauth.models import ApiRequestBody
from fastapi_stackauth.settings import Settings, documented_name

CLIENT_VERSION = f"python @fastapi_stackauth/python@{__version__}"
AccessType = Literal["client", "server"]
M = TypeVar("M", bound=BaseModel)
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Caller:
    """The identity that requests are sent with. The repr shows no token.

    Attributes:
        as_server: Whether the app itself is the caller, with its secret key.
        access_token: The user's access token.
        token_source: The user's session, which refreshes its access token.
        address: The end user's IP address, if it is sent to the auth server.
    """

    as_server: bool = False
    access_token: str | None = field(default=None, repr=False)
    token_source: TokenSource | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)


def is_sendable(token: str) -> bool:
    """Whether a token can be sent in a header: it contains only visible ASCII (RFC 9110 §5.5)."""
    return _HEADER_SAFE.fullmatch(token) is not None


def check_sendable(settings: Settings) -> None:
    """Reject keys and ids that cannot be sent in a header, before the first request needs them.

    Raises:
        ConfigurationError: A key or an id contains such a character. The message names the setting and hides the key.
    """
    for setting in ("project_id", "branch_id", "publishable_client_key", "secret_server_key"):
        value = getattr(settings, setting)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text and not is_sendable(text):
            raise ConfigurationError(
                f"{setting} contains a character that cannot be sent, such as a blank, a line break or a letter with "
                f"an accent. Copy {documented_name(setting)} again from the auth server's dashboard."
            )


def access_type(caller: Caller, request: ApiRequest, settings: Settings) -> AccessType | None:
    """Return the access type of a request; None if it is sent without ``x-stack-*`` headers.

    Raises:
        ConfigurationError: The operation needs the secret key, and the caller is not the app itself.
    """
    if request.rights == "none":
        return None
    if caller.as_server:
        return "server"
    if request.rights == "server" or (isinstance(request.json, ApiRequestBody) and request.json.server_only):
        raise ConfigurationError(f"{request.operation} needs the secret key: make this call on client.as_server().")
    return "client" if request.rights == "user" else settings.user_access_type


def build_headers(
    caller: Caller, request: ApiRequest, settings: Settings, access: AccessType, access_token: str | None
) -> dict[str, str]:
    """Return the headers of a request.

    Raises:
        ConfigurationError: No project id is configured.
        AccessTokenRejected, SessionEnded: The token cannot be sent in a header, so it is not valid.
    """
    key = settings.secret_server_key if access == "server" else settings.publishable_client_key
    headers = {
        "x-stack-access-type": access,
        "x-stack-project-id": settings.require_project_id(),
        "x-stack-client-version": CLIENT_VERSION,
    }
    if key:
        name = "x-stack-secret-server-key" if access == "server" else "x-stack-publishable-client-key"
        headers[name] = key.get_secret_value()
    if settings.branch_id != "main":
        headers["x-stack-branch-id"] = settings.branch_id
    if caller.address:
        headers["x-forwarded-for"] = caller.address
    if access_token:
        if not is_sendable(access_token):
            raise KnownApiError.of("UNPARSABLE_ACCESS_TOKEN", 401, operation=request.operation)
        headers["x-stack-access-token"] = access_token
        # `Require` checks the kind of user in this library, so the server lets anonymous and restricted users pass.
        headers["x-stack-allow-anonymous-user"] = "true"
    if request.refresh_token is not None:
        if not is_sendable(request.refresh_token):
            raise KnownApiError.of("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", 401, operation=request.operation)
        headers["x-stack-refresh-token"] = request.refresh_token
    return headers


class ApiCaller:
    """Sends requests for one caller and decodes the responses.

    `fetch` decodes the response to `send_with_auth`, which calls the transport; deadline and retries are there.
    """

    def __init__(self, settings: Settings, transport: Transport, caller: Caller) -> None:
        self.settings = settings
        self._transport = transport
        self._caller = caller

    @property
    def uses_secret_key_for_users(self) -> bool:
        """Whether requests for a user are sent with the secret key, because no publishable key is configured."""
        return not self._caller.as_server and self.settings.user_access_type == "server"

    async def access_token(self) -> str | None:
        """Return the user's access token. If the client is bound to a session, refresh the token before it expires.

        Raises:
            SessionEnded: The session has ended.
            AuthServerError: The refresh failed for another reason.
        """
        source = self._caller.token_source
        return await source.access_token() if source else self._caller.access_token

    async def fetch(self, request: ApiRequest, model: type[M]) -> M:
        """Send a request and decode the response into a model.

        Raises:
            AuthServerError: The request failed, or the response cannot be decoded.
        """
        access = access_type(self._caller, request, self.settings)
        try:
            response = await self.send_with_auth(request, access)
        except AuthServerError as error:
            meant = error if request.translate is None else request.translate(error)
            if meant is error:
                raise
            raise meant from None
        # With the secret key the server returns more than a user may read, so keep only the fields that the model
        # declares.
        narrows = access == "server" and not self._caller.as_server
        try:
            return model.model_validate_json(response.body, extra="ignore" if narrows else None)
        except ValidationError:
            raise UnexpectedResponse(operation=request.operation, request_id=response.request_id) from None

    async def send_with_auth(self, request: ApiRequest, access: AccessType | None) -> ApiResponse:
        """Send a request with the caller's headers, or without them if `access` is None.

        Raises:
            AuthServerError: The request failed.
        """
        if access is None:
            return await self._transport.send_before_deadline(request, {})
        token = None if request.without_user else await self.access_token()
        headers = build_headers(self._caller, request, self.settings, access, token)
        try:
            return await self._transport.send_before_deadline(request, headers)
        except AccessTokenRejected as error:
            source = self._caller.token_source
            if error.code != "ACCESS_TOKEN_EXPIRED" or token is None or source is None:
                raise
        # The clocks of both sides differ. The server rejected the token before it did anything, so it is safe to repeat
        # any request.
        headers = build_headers(self._caller, request, self.settings, access, await source.replace(token))
        return await self._transport.send_before_deadline(request, headers)
