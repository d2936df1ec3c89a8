"""`StackAuthClient`: the resources of the auth server's API, bound to one caller."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from pydantic import BaseModel

from fastapi_stackauth.client import resources
from fastapi_stackauth.client.caller import ApiCaller, Caller, check_sendable
from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.client.library import HttpClient, HttpTransport
from fastapi_stackauth.client.request import ApiRequest, Method, check_path
from fastapi_stackauth.client.resources.anonymous import AnonymousApi
from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.client.resources.keys import KeysApi
from fastapi_stackauth.client.resources.mfa import MfaApi
from fastapi_stackauth.client.resources.otp import OtpApi
from fastapi_stackauth.client.resources.password import PasswordApi
from fastapi_stackauth.client.resources.permissions import ProjectPermissionsApi, TeamPermissionsApi
from fastapi_stackauth.client.resources.project import ProjectApi
from fastapi_stackauth.client.resources.sessions import SessionsApi
from fastapi_stackauth.client.resources.team_invitations import TeamInvitationsApi
from fastapi_stackauth.client.resources.team_members import TeamMembersApi
from fastapi_stackauth.client.resources.teams import TeamsApi
from fastapi_stackauth.client.resources.users import UsersApi
from fastapi_stackauth.client.tokens import Listener, TokenSource
from fastapi_stackauth.client.transport import Transport
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.models import AccessToken, TokenPair
from fastapi_stackauth.runtime.events import AuthEvents
from fastapi_stackauth.runtime.redaction import install_redaction
from fastapi_stackauth.settings import Settings

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound=Resource)


class BoundResource(Generic[R]):
    """A resource as an attribute of a client; it sends requests as that client's caller.

    Args:
        resource: The class, or its name. A name is imported on first use, which saves memory for models that few apps
            need.
    """

    def __init__(self, resource: type[R] | str) -> None:
        self._resource = resource

    def __get__(self, client: ApiCaller, owner: type | None = None) -> R:
        if isinstance(self._resource, str):
            self._resource = cast("type[R]", getattr(resources, self._resource))
        return self._resource(client)


class StackAuthClient(ApiCaller):
    """A typed client for the auth server's API. Use it as an async context manager, or call `aclose` when you are done.

    Requests have the access type ``client``, like those of the app's own front end. If only a secret key is configured,
    requests that have the same effect for both access types are sent as ``server``, and the client drops the fields
    that a user may not read. `as_user`, `session` and `as_server` return a view of this client for another caller. Use
    `request` for operations that have no method here.

    Example:
        >>> async with StackAuthClient(Settings(project_id="...")) as client:
        ...     signed_in = await client.password.sign_in(email="ada@example.com", password="...")
        ...     me = await client.as_user(signed_in.access_token).users.me()
    """

    anonymous = BoundResource(AnonymousApi)
    """Anonymous users."""
    cli: "BoundResource[resources.CliApi]" = BoundResource("CliApi")
    """Sign-in for command-line tools."""
    connected_accounts: "BoundResource[resources.ConnectedAccountsApi]" = BoundResource("ConnectedAccountsApi")
    """OAuth provider accounts that the app may use on behalf of the user."""
    contact_channels: "BoundResource[resources.ContactChannelsApi]" = BoundResource("ContactChannelsApi")
    """Email addresses and their verification."""
    keys = BoundResource(KeysApi)
    """The project's public signing keys."""
    mfa = BoundResource(MfaApi)
    """The second factor of a sign-in."""
    oauth: "BoundResource[resources.OAuthApi]" = BoundResource("OAuthApi")
    """Sign-in at OAuth providers."""
    oauth_providers: "BoundResource[resources.OAuthProvidersApi]" = BoundResource("OAuthProvidersApi")
    """What a user's accounts at OAuth providers may be used for."""
    otp = BoundResource(OtpApi)
    """Sign-in with a one-time code or link sent by email."""
    passkey: "BoundResource[resources.PasskeyApi]" = BoundResource("PasskeyApi")
    """Passkeys."""
    password = BoundResource(PasswordApi)
    """Sign-up and sign-in with email and password; password change and reset."""
    project = BoundResource(ProjectApi)
    """The public configuration of the project."""
    project_permissions = BoundResource(ProjectPermissionsApi)
    """Permissions in the whole project."""
    sessions = BoundResource(SessionsApi)
    """Token refresh, sign-out and the list of sessions."""
    team_api_keys: "BoundResource[resources.TeamApiKeysApi]" = BoundResource("TeamApiKeysApi")
    """API keys of teams."""
    team_invitations = BoundResource(TeamInvitationsApi)
    """Invitations to teams."""
    team_members = BoundResource(TeamMembersApi)
    """The members of a team and their profiles in it."""
    team_permissions = BoundResource(TeamPermissionsApi)
    """Permissions in teams."""
    teams = BoundResource(TeamsApi)
    """Teams."""
    user_api_keys: "BoundResource[resources.UserApiKeysApi]" = BoundResource("UserApiKeysApi")
    """API keys of users."""
    users = BoundResource(UsersApi)
    """The signed-in user; as server, all users."""

    def __init__(
        self,
        settings: Settings,
        *,
        http_client: HttpClient | None = None,
        transport: HttpTransport | None = None,
        events: AuthEvents | None = None,
    ) -> None:
        """Create a client.

        Args:
            settings: The auth server's address and the project's keys.
            http_client: Your own `AsyncClient` from httpx or httpx2. It belongs to one event loop, and you close it
                yourself.
            transport: Your own transport from httpx or httpx2, for the connection pools that this client opens and
                closes.
            events: Counts and reports the requests. By default, a new `AuthEvents`.

        Raises:
            ConfigurationError: A key or an id contains a character that cannot be sent in a header, or `http_client` or
                `transport` has the wrong type.
        """
        check_sendable(settings)
        install_redaction(("client_secret",))  # httpx logs URLs, and those of OAuth contain keys and tokens
        self.events = events or AuthEvents()
        pools = Transport(
            settings.base_url,
            settings.timeout,
            client=http_client,
            transport=transport,
            events=self.events,
            keepalive_expiry=settings.keepalive_expiry,
        )
        super().__init__(settings, pools, Caller())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of the running event loop. You may use the client again afterwards."""
        await self._transport.aclose()

    # --- the caller ---

    def as_user(self, access_token: str) -> Self:
        """Return a view of this client that sends requests as the user of an access token."""
        return self._for_caller(Caller(access_token=access_token, address=self._caller.address))

    def session(self, tokens: TokenPair, *, on_tokens: Listener | None = None) -> Self:
        """Return a view of this client for the user of a session. It refreshes the access token automatically.

        Args:
            tokens: Both tokens, such as the response to a sign-in.
            on_tokens: Called with each new pair of tokens, before the request that needs it is sent. May be async.
        """
        address = self._caller.address
        source = TokenSource(tokens, self._for_caller(Caller(address=address)).sessions.refresh, on_tokens)
        return self._for_caller(Caller(token_source=source, address=address))

    def as_server(self) -> Self:
        """Return a view of this client that sends requests as the app itself, with the project's secret key.

        Raises:
            ConfigurationError: No secret key is configured.
        """
        if not self.settings.secret_server_key:
            raise ConfigurationError(
                "secret_server_key is not set: pass StackAuth(secret_server_key=...) or set STACK_SECRET_SERVER_KEY.",
                setting="secret_server_key",
            )
        return self._for_caller(Caller(as_server=True, address=self._caller.address))

    def for_address(self, peer: str | None, forwarded_for: str | None = None) -> Self:
        """Return a view of this client that sends the end user's IP address to the auth server.

        Args:
            peer: The address that connected to this app.
            forwarded_for: The request's `X-Forwarded-For` header. Join several lines with commas:
                ``",".join(request.headers.getlist("x-forwarded-for"))``.
        """
        proxies = self.settings.trusted_proxies
        address = end_user_address(peer, forwarded_for, proxies) if proxies else None
        return self._for_caller(replace(self._caller, address=address))

    def _for_caller(self, caller: Caller) -> Self:
        view = copy(self)
        view._caller = caller  # noqa: SLF001 - a view has the same class
        return view

    @property
    def server_time(self) -> float | None:
        """The auth server's Unix time, by its last response; accurate to about a second. None before any response."""
        return self._transport.server_time

    async def refresh(self, refresh_token: str) -> AccessToken:
        """Return a new access token for a refresh token. A shortcut for `sessions.refresh`.

        Raises:
            SessionEnded: The session has ended.
            AuthServerError: The refresh failed for another reason.
        """
        return await self.sessions.refresh(refresh_token)

    # --- any request ---

    async def request(
        self,
        method: Method,
        path: str,
        *,
        model: type[M],
        json: object = None,
        params: Mapping[str, str] | None = None,
    ) -> M:
        """Send any request below ``/api/v1``, with this client's headers, errors and retries.

        Requests for a user always have the access type ``client``, so the server decides what the user may do.

        Args:
            method: The HTTP method. GET, PUT and DELETE are retried after temporary failures.
            path: The path below ``/api/v1``, without a query. Quote the values in it (`urllib.parse.quote(value,
                safe="")`).
            model: The model to decode the response into.
            json: The body. Operations without required fields may still need ``{}``.
            params: The query parameters.

        Raises:
            AuthServerError: The request failed, or the response cannot be decoded.
        """
        request = ApiRequest(method, check_path(path), json=json, params=params, is_custom=True)
        return await self.fetch(request, model)
