"""The parts of a `StackAuth` in a frozen object, which dependencies, routers and error handlers use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self
from weakref import WeakSet

from fastapi import FastAPI, Request, Response

from fastapi_stackauth.access.accounts import Accounts
from fastapi_stackauth.access.api_keys import ApiKeys
from fastapi_stackauth.access.permissions import Authorization
from fastapi_stackauth.access.project import CurrentProject
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import ConfigurationError, StackAuthError
from fastapi_stackauth.runtime.events import AuthEvents
from fastapi_stackauth.runtime.limits import AttemptLimiter
from fastapi_stackauth.runtime.storage import MemoryStorage, RedisStorage, Storage
from fastapi_stackauth.sessions.cookie_sessions import ACCESS, REFRESH, Sessions
from fastapi_stackauth.sessions.cookies import CookiePolicy, OriginPolicy, SdkCookies, SessionCookies
from fastapi_stackauth.sessions.credentials import CredentialSource, HeaderCredentials
from fastapi_stackauth.sessions.redirects import allowed_redirect
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.live import LiveSessions
from fastapi_stackauth.verification.resource_tokens import ResourceTokenVerifier
from fastapi_stackauth.verification.revocation import Revocations
from fastapi_stackauth.verification.verifier import Verifier


@dataclass(frozen=True, eq=False, repr=False)
class Services:
    """The parts of one `StackAuth`.

    Attributes:
        settings: All settings.
        events: Counts and logs events, and calls hooks.
        clock: Returns the Unix time in seconds.
        client: The auth server's API.
        sources: The places of credentials, in this order.
        storage: The storage that the workers share.
        revocations: Sessions and users with tokens that are rejected before they expire.
        verifier: Verifies tokens.
        accounts: Finds users by id.
        resource_tokens: Verifies tokens of an authorization server.
        sessions: Cookie sessions.
        live_sessions: Checks whether sessions still exist.
        authorization: Checks permissions and teams.
        api_keys: Finds the owners of API keys.
        project: The project's public settings.
        limiter: Limits attempts.
    """

    settings: Settings
    events: AuthEvents
    clock: Callable[[], float]
    client: StackAuthClient
    sources: Sequence[CredentialSource]
    storage: Storage
    revocations: Revocations
    verifier: Verifier
    accounts: Accounts
    resource_tokens: ResourceTokenVerifier
    sessions: Sessions
    live_sessions: LiveSessions
    authorization: Authorization
    api_keys: ApiKeys
    project: CurrentProject
    limiter: AttemptLimiter

    @classmethod
    def compose(
        cls,
        client: StackAuthClient,
        settings: Settings,
        clock: Callable[[], float],
        own_sources: Sequence[CredentialSource] | None,
    ) -> Self:
        """Create the parts and connect them. This does not use the network."""
        events = client.events
        storage = _storage(settings, clock, events)
        revocations = Revocations(settings, storage, clock, events)
        verifier = Verifier(settings, client, clock=clock, revocations=revocations)
        authorization, api_keys = Authorization(settings, client, clock), ApiKeys(settings, client, storage, clock)
        accounts = Accounts(settings, client, clock)

        def forget(user_id: str, team_id: str) -> None:
            authorization.forget(user_id=user_id or None, team_id=team_id or None)
            if not (user_id and team_id):
                api_keys.forget(user_id or team_id)
            if user_id:
                accounts.forget(user_id)

        async def list_sessions(access_token: str) -> Mapping[str, datetime]:
            sessions = await client.as_user(access_token).sessions.list()
            return {session.id: session.created_at for session in sessions}

        revocations.on_forget = forget
        return cls(
            settings=settings,
            events=events,
            clock=clock,
            client=client,
            sources=_default_sources(settings) if own_sources is None else own_sources,
            storage=storage,
            revocations=revocations,
            verifier=verifier,
            accounts=accounts,
            resource_tokens=ResourceTokenVerifier(settings, client, accounts, revocations, clock),
            sessions=Sessions(settings, client, verifier, clock),
            live_sessions=LiveSessions(list_sessions, storage, clock, events),
            authorization=authorization,
            api_keys=api_keys,
            project=CurrentProject(client, clock),
            limiter=AttemptLimiter(settings, events),
        )

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The client is last, because other parts may use it."""
        callers = (self.verifier, self.resource_tokens, self.sessions, self.project, self.limiter, self.live_sessions)
        lookups = (self.authorization, self.accounts, self.api_keys, self.revocations)
        for part in (*callers, *lookups, self.storage, self.client):
            await part.aclose()


class PrebuiltPages(Protocol):
    """The prebuilt pages of a stack, for code outside of their router.

    Attributes:
        prefix: The prefix of their paths.
    """

    prefix: str

    async def show_error(self, request: Request, services: Services, error: StackAuthError) -> Response:
        """Return a page for an error of an app's own route."""
        ...

    async def show_onward(self, request: Request, services: Services, address: str) -> Response:
        """Return a page that automatically continues to another site."""
        ...


class Stack:
    """Base class of `StackAuth` with the attributes that dependencies and routers use. Compared by identity.

    Attributes:
        services: Its parts. `StackAuth.reconfigure` replaces them, so read them for each request.
        apps: The apps on which it is installed.
        has_router: Whether it has created a router.
        prebuilt_pages: Its prebuilt pages, or None.
        cli_shares_session: Whether tools that sign in with its `cli_router` share the browser's session. None if it has
            no such router for browsers.
    """

    services: Services

    def __init__(self) -> None:
        self.apps: WeakSet[FastAPI] = WeakSet()
        self.has_router = False
        self.prebuilt_pages: PrebuiltPages | None = None
        self.cli_shares_session: bool | None = None

    @property
    def pages_prefix(self) -> str | None:
        """The prefix of the prebuilt pages; None if it has none."""
        return None if self.prebuilt_pages is None else self.prebuilt_pages.prefix

    def safe_return_to(self, value: str | None, *, default: str | None = None) -> str:
        """Return a safe target for your own redirect: `value` if redirects to it are allowed, else `default`.

        The rules are those of the prebuilt pages: a path of the app such as ``/notes?page=2``, or a URL of `app_url`,
        `trusted_origins` or `redirect_urls`. Pass a value from the request, such as the query parameter `return_to`.

        Args:
            value: The URL from the request, if any.
            default: The target otherwise, which must not come from the request. By default, the setting
                `after_sign_in`.

        Example:
            >>> stack = StackAuth(after_sign_in="/notes")
            >>> stack.safe_return_to("/notes?page=2")
            '/notes?page=2'
            >>> stack.safe_return_to("//evil.example")
            '/notes'

        Raises:
            ConfigurationError: Redirects to `default` are not allowed.
        """
        settings = self.services.settings
        if default is not None and allowed_redirect(default, settings) is None:
            raise ConfigurationError(
                f'safe_return_to: default must be a path such as "/notes", or a URL that redirects may lead to; '
                f"got {default!r:.200}. Pass a constant, and add its origin to redirect_urls if it is another site."
            )
        return allowed_redirect(value, settings) or default or settings.after_sign_in


def _storage(settings: Settings, clock: Callable[[], float], events: AuthEvents) -> Storage:
    if settings.redis_url is None:
        return MemoryStorage(clock)
    return RedisStorage(settings.redis_url.get_secret_value(), f"stackauth:{settings.project_id}:", clock, events)


def _default_sources(settings: Settings) -> tuple[CredentialSource, ...]:
    headers = HeaderCredentials()
    if not settings.app_url or not settings.cookies_possible:
        return (headers,)
    site, policy = OriginPolicy(settings.app_url, settings.trusted_origins), CookiePolicy.of(settings)
    session = SessionCookies(site, policy.name(ACCESS), policy.name(REFRESH))
    return (headers, session, SdkCookies(site, settings.project_id)) if settings.sdk_cookies else (headers, session)
