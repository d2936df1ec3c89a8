"""The parts of one `StackAuth` as one frozen value, which dependencies, routers and error handlers use."""

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
        settings: all settings.
        events: what happens: counted, logged and given to hooks.
        clock: unix time in seconds.
        client: the auth server's API.
        sources: the places of credentials, in this order.
        storage: what the workers share.
        revocations: sessions and users whose tokens are rejected before they expire.
        verifier: turns a token into a user.
        accounts: finds users by their id.
        resource_tokens: turns a token of an authorization server into a user.
        sessions: cookie sessions.
        live_sessions: whether sessions still exist.
        authorization: permissions and teams.
        api_keys: the owners of API keys.
        project: what the project allows.
        limiter: how often a caller may try.
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
        """Make the parts and connect them. Nothing touches the network."""
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
        """Close what belongs to the running event loop; the network last, because the other parts may be using it."""
        callers = (self.verifier, self.resource_tokens, self.sessions, self.project, self.limiter, self.live_sessions)
        lookups = (self.authorization, self.accounts, self.api_keys, self.revocations)
        for part in (*callers, *lookups, self.storage, self.client):
            await part.aclose()


class PrebuiltPages(Protocol):
    """The prebuilt pages of a stack, for what shows pages outside of their router.

    Attributes:
        prefix: the prefix of their paths.
    """

    prefix: str

    async def show_error(self, request: Request, services: Services, error: StackAuthError) -> Response:
        """Return a page for an error of an app's own route."""
        ...

    async def show_onward(self, request: Request, services: Services, address: str) -> Response:
        """Return a page that continues to another site by itself."""
        ...


class Stack:
    """Base of `StackAuth`, as far as dependencies and routers know it. Compared by identity.

    Attributes:
        services: its parts; `StackAuth.reconfigure` replaces them, so read them for each request.
        apps: the apps that it is installed on.
        has_router: whether it has made a router.
        prebuilt_pages: its prebuilt pages; None if it has none.
        cli_shares_session: whether the tools that its `cli_router` signs in share the session of the browser; None if
            it has no such router for browsers.
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
        """Return where a redirect of your own may lead: `value` if redirects may lead there, else `default`.

        The rules are those of the prebuilt pages: a path of the app such as ``/notes?page=2``, or a URL of `app_url`,
        `trusted_origins` or `redirect_urls`. Pass what a request says, such as the query parameter `return_to`.

        Args:
            value: the address that the request names, if any.
            default: where to go otherwise, never from the request; by default, the setting `after_sign_in`.

        Example:
            >>> stack = StackAuth(after_sign_in="/notes")
            >>> stack.safe_return_to("/notes?page=2")
            '/notes?page=2'
            >>> stack.safe_return_to("//evil.example")
            '/notes'

        Raises:
            ConfigurationError: redirects may not lead to `default`.
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
