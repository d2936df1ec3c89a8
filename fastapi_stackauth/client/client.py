"""`StackAuthClient`: the resources of the auth server's API, and the caller that uses them."""

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
    """A resource as an attribute of a client: it makes its requests as that client's caller.

    Args:
        resource: its class; or its name if few apps need its models, so that the first use imports it.
    """

    def __init__(self, resource: type[R] | str) -> None:
        self._resource = resource

    def __get__(self, client: ApiCaller, owner: type | None = None) -> R:
        if isinstance(self._resource, str):
            self._resource = cast("type[R]", getattr(resources, self._resource))
        return self._resource(client)


class StackAuthClient(ApiCaller):
    """The auth server's API, typed. An async context manager; `aclose` closes it as well.

    Requests are made with access type ``client``, as the app's own front end makes them. If only a secret key is
    configured, requests with the same effect for either access type are made as ``server``, and responses are narrowed
    to what a client may read. `as_user`, `session` and `as_server` return the same client for another caller. `request`
    makes requests that have no method.

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
    """Accounts at OAuth providers that the app may use for its user."""
    contact_channels: "BoundResource[resources.ContactChannelsApi]" = BoundResource("ContactChannelsApi")
    """Email addresses and their verification."""
    keys = BoundResource(KeysApi)
    """The project's public signing keys."""
    mfa = BoundResource(MfaApi)
    """The second factor of a sign-in."""
    oauth: "BoundResource[resources.OAuthApi]" = BoundResource("OAuthApi")
    """Sign-in at OAuth providers."""
    oauth_providers: "BoundResource[resources.OAuthProvidersApi]" = BoundResource("OAuthProvidersApi")
    """The permitted uses of a user's accounts at OAuth providers."""
    otp = BoundResource(OtpApi)
    """Sign-in by a one-time code or link in an email."""
    passkey: "BoundResource[resources.PasskeyApi]" = BoundResource("PasskeyApi")
    """Passkeys."""
    password = BoundResource(PasswordApi)
    """Sign-up and sign-in by email and password; password change and reset."""
    project = BoundResource(ProjectApi)
    """The public configuration of the project."""
    project_permissions = BoundResource(ProjectPermissionsApi)
    """Permissions in the whole project."""
    sessions = BoundResource(SessionsApi)
    """Token refresh, sign-out, the list of sessions."""
    team_api_keys: "BoundResource[resources.TeamApiKeysApi]" = BoundResource("TeamApiKeysApi")
    """API keys of teams."""
    team_invitations = BoundResource(TeamInvitationsApi)
    """Invitations to teams."""
    team_members = BoundResource(TeamMembersApi)
    """The members of a team, and the profiles they have there."""
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
            settings: the auth server's address and the project's keys.
            http_client: your own `AsyncClient` of httpx or httpx2, which you close yourself; it belongs to one event
                loop.
            transport: your own transport of httpx or httpx2 for the pools that this client opens and closes.
            events: counts and reports the requests; a new `AuthEvents` by default.

        Raises:
            ConfigurationError: a key or an id contains a character that no header can carry, or `http_client` or
                `transport` is something else.
        """
        check_sendable(settings)
        install_redaction(("client_secret",))  # httpx logs URLs, and OAuth's hold keys and tokens
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
        """Close the running event loop's connections. The client may be used again afterwards."""
        await self._transport.aclose()

    # --- the caller ---

    def as_user(self, access_token: str) -> Self:
        """Return this client for the user of an access token, instead of its caller so far."""
        return self._for_caller(Caller(access_token=access_token, address=self._caller.address))

    def session(self, tokens: TokenPair, *, on_tokens: Listener | None = None) -> Self:
        """Return this client, bound to the user of a session; it refreshes the access token automatically.

        Args:
            tokens: both tokens, such as the response to a sign-in.
            on_tokens: called with each new pair, and awaited if it is async, before the request that needs it is sent.
        """
        address = self._caller.address
        source = TokenSource(tokens, self._for_caller(Caller(address=address)).sessions.refresh, on_tokens)
        return self._for_caller(Caller(token_source=source, address=address))

    def as_server(self) -> Self:
        """Return this client for the app itself, with the project's secret key.

        Raises:
            ConfigurationError: no secret key is configured.
        """
        if not self.settings.secret_server_key:
            raise ConfigurationError(
                "secret_server_key is not set: pass StackAuth(secret_server_key=...) or set STACK_SECRET_SERVER_KEY.",
                setting="secret_server_key",
            )
        return self._for_caller(Caller(as_server=True, address=self._caller.address))

    def for_address(self, peer: str | None, forwarded_for: str | None = None) -> Self:
        """Return this client with the end user's address for the auth server; without `trusted_proxies`, with none.

        Args:
            peer: the address that connected to this app.
            forwarded_for: the request's `X-Forwarded-For` header. Join several lines with commas:
                ``",".join(request.headers.getlist("x-forwarded-for"))``.
        """
        proxies = self.settings.trusted_proxies
        address = end_user_address(peer, forwarded_for, proxies) if proxies else None
        return self._for_caller(replace(self._caller, address=address))

    def _for_caller(self, caller: Caller) -> Self:
        view = copy(self)
        view._caller = caller  # noqa: SLF001 - a view is of this very class
        return view

    @property
    def server_time(self) -> float | None:
        """Unix time at the auth server, from its last response, to about a second; None before any response."""
        return self._transport.server_time

    async def refresh(self, refresh_token: str) -> AccessToken:
        """Return a new access token for a refresh token; short for `sessions.refresh`.

        Raises:
            SessionEnded: the session has ended.
            AuthServerError: any other failure.
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
        """Make any request below ``/api/v1``, with this client's headers, errors and retries.

        A user's request always has access type ``client``: the server decides what the user may do.

        Args:
            method: the HTTP method; GET, PUT and DELETE are repeated after failures that may pass.
            path: the path below ``/api/v1``, without a query; quote the values in it
                (`urllib.parse.quote(value, safe="")`).
            model: the model to decode the response into.
            json: the body; operations without required fields may still need ``{}``.
            params: the query.

        Raises:
            AuthServerError: any outcome but a readable success.
        """
        request = ApiRequest(method, check_path(path), json=json, params=params, is_custom=True)
        return await self.fetch(request, model)
