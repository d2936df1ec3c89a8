"""`StackAuth`: the composition root. The only file that knows all the others."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack
from weakref import WeakSet

import httpx
from fastapi import APIRouter, FastAPI

from fastapi_stackauth.access.api_keys import ApiKeys
from fastapi_stackauth.access.permissions import Authorization
from fastapi_stackauth.access.project import CurrentProject
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.caller import check_sendable
from fastapi_stackauth.dependencies import IdentifyUser, Require
from fastapi_stackauth.errors import ConfigurationError, StackAuthError
from fastapi_stackauth.http.handlers import stack_auth_error_handler
from fastapi_stackauth.http.health import Health, check_health, readiness_router
from fastapi_stackauth.http.installed import (
    STATE_KEY,
    StackNotInstalled,
    check_app,
    default_stack,
    remember,
    stacks_of_app,
)
from fastapi_stackauth.http.openapi import enrich, install_openapi
from fastapi_stackauth.options import Options
from fastapi_stackauth.runtime.events import VARIABLES_AT_ODDS, Events
from fastapi_stackauth.runtime.limits import AttemptLimiter
from fastapi_stackauth.runtime.redaction import install_redaction
from fastapi_stackauth.runtime.storage import MemoryStorage, RedisStorage, Storage
from fastapi_stackauth.sessions.cookie_sessions import ACCESS, REFRESH, CookieMiddleware, Sessions
from fastapi_stackauth.sessions.cookies import CookiePolicy
from fastapi_stackauth.sessions.credentials import (
    CredentialSource,
    HeaderCredentials,
    QueryToken,
    SdkCookies,
    SessionCookies,
    Site,
    check_sources,
)
from fastapi_stackauth.settings import Settings, variables_at_odds
from fastapi_stackauth.startup.configuration import find_missing, report_missing
from fastapi_stackauth.startup.misuse import install_check
from fastapi_stackauth.verification.live import LiveSessions
from fastapi_stackauth.verification.revocation import Revocations
from fastapi_stackauth.verification.verifier import Verifier

if TYPE_CHECKING:
    from fastapi_stackauth.http.webhooks import WebhookRouter
    from fastapi_stackauth.routers import Delivery, Method, Page


class StackAuth:
    """Stack Auth (Hexclave) for one FastAPI app.

    Args:
        sources: where access tokens are looked for, in this order; by default the headers, then, with
            `sdk_cookies=True`, the JavaScript SDK's cookies.
        http_client: an own `httpx.AsyncClient` for calls of the auth server; it stays yours to close.
        transport: an own httpx transport for them.
        clock: unix time in seconds, for tests of what expires.
        **options: the settings; what is not given is read from the environment (see `Settings`).

    Nothing touches the network here. A missing project id is said at the first use that needs it.

    Example:
        >>> stack = StackAuth()
        >>> app = FastAPI()
        >>> stack.install(app)
        >>> app.include_router(stack.router(delivery="body"), prefix="/api/auth")

    Raises:
        ConfigurationError: where a setting is wrong; it names the setting.
    """

    def __init__(
        self,
        *,
        sources: Sequence[CredentialSource] | None = None,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        **options: Unpack[Options],
    ) -> None:
        self._own_sources = None if sources is None else check_sources(sources)
        self._apps: WeakSet[FastAPI] = WeakSet()
        self._has_router = False
        self.events = Events()
        self._given = frozenset(options)
        settings = Settings.load(options)
        check_sendable(settings)
        client = StackAuthClient(settings, http_client=http_client, transport=transport, events=self.events)
        self._compose(settings, client, clock)

    def _compose(self, settings: Settings, client: StackAuthClient, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.clock = clock
        self.sources = _default_sources(settings) if self._own_sources is None else self._own_sources
        self.client = client
        self.storage = _storage(self.settings, clock, self.events)
        self.revocations = Revocations(self.settings, self.storage, clock, self.events)
        self.verifier = Verifier(self.settings, self.client, clock=clock, revocations=self.revocations)
        self.api_keys = ApiKeys(self.settings, self.client, self.storage, clock)
        self.sessions = Sessions(self.settings, self.client, self.verifier, clock)
        self.project = CurrentProject(self.client, clock)
        self.limiter = AttemptLimiter(self.settings, self.events)
        self.authorization = Authorization(self.settings, self.client, clock)
        self.revocations.on_forget = self._forget
        self.live_sessions = LiveSessions(self._session_times, clock, self.events)

    def __repr__(self) -> str:
        return f"StackAuth(project_id={self.settings.project_id!r}, base_url={self.settings.base_url!r})"

    # --- dependencies of this very stack ---

    @property
    def current_user(self) -> Require:
        """`current_user` of this stack, for apps that install several."""
        return Require(stack=self)

    @property
    def optional_user(self) -> IdentifyUser:
        """`optional_user` of this stack, for apps that install several."""
        return IdentifyUser(stack=self)

    # --- the app ---

    def install(self, app: FastAPI, *, default: bool = True) -> None:
        """Make the app answer this library's errors, document them, and close the client when it shuts down.

        Call it before the first request. The app's own lifespan and `openapi()` are kept and composed with.

        Args:
            app: the app; a mounted FastAPI app needs an install of its own.
            default: whether `current_user` and its like, which name no stack, mean this one.

        Raises:
            ConfigurationError: where another stack is the app's default already or has the same `cookie_name`, the app
                serves already, or it is no FastAPI app.
        """
        check_app(app)
        if app.middleware_stack is not None:
            raise ConfigurationError("This app serves already: call stack.install(app) before the first request.")
        self._check_cookie_name(stacks_of_app(app))
        if default:
            self._become_default(app)
        if StackAuthError not in app.exception_handlers:
            handler: Any = stack_auth_error_handler  # Starlette types handlers of requests and of WebSockets apart
            app.add_exception_handler(StackAuthError, handler)
        pass_on: Any = None  # Starlette takes a class without a handler as one that it must not handle
        app.add_exception_handler(StackNotInstalled, pass_on)
        if not stacks_of_app(app):
            install_check(app)
        remember(app, self)
        self._apps.add(app)
        install_openapi(app, self._enriched)
        if self.settings.cookies_possible:
            _add_cookie_middleware(app)
        _compose_lifespan(app, self)
        install_redaction(tuple(s.parameter for s in self.sources if isinstance(s, QueryToken)))

    def router(
        self,
        *,
        delivery: "Delivery" = "cookie",
        methods: "Iterable[Method] | None" = None,
        pages: "Mapping[Page, str] | None" = None,
        oauth_scopes: Mapping[str, str] | None = None,
    ) -> APIRouter:
        """The sign-in routes, for `app.include_router(..., prefix=...)`. Several may be mounted in one app.

        Args:
            delivery: ``cookie``: tokens travel in HttpOnly cookies, for web front ends; needs `app_url`. ``body``: in
                request and response bodies, for mobile and command-line apps.
            methods: the sign-in methods to offer: ``password``, ``otp``, ``oauth``, ``passkey``, ``anonymous``; all by
                default.
            pages: the app's own pages, as paths or whole addresses, that links in mails lead to in place of the
                router's: ``password_reset``, ``verify_email``, ``magic_link``. They get the code as ``?code=``.
            oauth_scopes: by provider, more scopes to ask for at each sign-in, separated by blanks.

        Raises:
            ConfigurationError: for a delivery, method or page that does not exist, an `app_url` under which browsers
                keep no cookies, or a `cookie_name` that another stack of the app has.
        """
        from fastapi_stackauth.routers import build_router  # noqa: PLC0415 - who only verifies tokens need not load them

        self._has_router = True
        for app in self._apps:
            self._check_cookie_name(stacks_of_app(app))
        return build_router(self, delivery=delivery, methods=methods, pages=pages, oauth_scopes=oauth_scopes)

    def webhooks(self, path: str) -> "WebhookRouter":
        """A router that takes the auth server's webhooks at this path, for `app.include_router`; see `WebhookRouter`.

        Messages are verified with the setting `webhook_secrets`. By itself it refuses the tokens of users who are
        deleted, and forgets permissions and teams that have changed.
        """
        from fastapi_stackauth.http.webhooks import WebhookRouter  # noqa: PLC0415 - as with the routes above

        return WebhookRouter(self, path)

    def readiness(self, path: str) -> APIRouter:
        """A router with a readiness route at this path, for `app.include_router`: 200 with a `Health`, or 503."""
        return readiness_router(self, path)

    def missing_settings(self) -> Mapping[str, tuple[str, ...]]:
        """Return the settings that are not set though routes need them, each with those routes.

        The routes are those of every app that this stack is installed on.
        """
        found: dict[str, tuple[str, ...]] = {}
        for app in self._apps:
            for missing in find_missing(app, self, default=default_stack(app) is self):
                found[missing.name] = (*found.get(missing.name, ()), *missing.routes)
        return found

    async def health(self) -> Health:
        """How authentication is doing in this worker: keys, fallback, Redis, and which settings are missing."""
        return await check_health(self)

    async def warm_up(self) -> None:
        """Fetch the signing keys now, so that the first request need not wait. For an app's own lifespan.

        Raises:
            VerificationUnavailable: where they cannot be had; the app may start all the same.
            ConfigurationError: where no project id is set.
        """
        await self.verifier.warm_up()

    async def aclose(self) -> None:
        """Close what belongs to the running event loop. `install` does it when the app shuts down."""
        callers = (self.verifier, self.sessions, self.project, self.limiter, self.live_sessions)
        lookups = (self.authorization, self.api_keys, self.revocations)
        for part in (*callers, *lookups, self.storage, self.client):  # the network last: the others may be using it
            await part.aclose()

    @contextmanager
    def reconfigured(
        self,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] | None = None,
        **options: Unpack[Options],
    ) -> Iterator[None]:
        """While the block runs: other settings, and nothing remembered from before. For tests of an app as it stands.

        Routers, dependencies and webhook handlers made of this stack follow. What `install` settled stays: whether the
        app has cookies at all, for one. `fastapi_stackauth.testing.emulated` points a whole app at an emulator with it.

        Args:
            transport: an own httpx transport for calls of the auth server; an own `http_client` is not used meanwhile.
            clock: unix time in seconds.
            **options: the settings that change; the others keep the values they have, whatever the environment says.

        Raises:
            ConfigurationError: where a setting is wrong.
        """
        before = dict(vars(self))
        kept: dict[str, Any] = {name: getattr(self.settings, name) for name in Settings.model_fields}
        settings = Settings.load({**kept, **options})
        client = StackAuthClient(settings, transport=transport, events=self.events)
        self._compose(settings, client, clock or self.clock)
        try:
            yield
        finally:
            vars(self).update(before)

    # --- inside ---

    def _warn_of_variables(self) -> None:
        """Log each setting that comes from the environment under two names with different values."""
        for field, names in variables_at_odds().items():
            if field not in self._given:
                self.events.emit(VARIABLES_AT_ODDS, used=names[0], ignored=" ".join(names[1:]))

    def _enriched(self, schema: dict[str, Any]) -> dict[str, Any]:
        settings = self.settings
        reads_cookies = any(isinstance(source, SessionCookies) for source in self.sources)
        cookie = CookiePolicy.of(settings).name(ACCESS) if reads_cookies else None
        hidden_teams = settings.unknown_team == "permission_missing"
        return enrich(schema, settings.error_format, cookie, hidden_teams=hidden_teams)

    def _forget(self, user_id: str, team_id: str) -> None:
        self.authorization.forget(user_id=user_id or None, team_id=team_id or None)
        if not (user_id and team_id):
            self.api_keys.forget(user_id or team_id)

    def _become_default(self, app: FastAPI) -> None:
        other = default_stack(app)
        if other is not None and other is not self:
            raise ConfigurationError(
                "This app has a default StackAuth already: install further ones with install(app, default=False) "
                "and use their own stack.current_user."
            )
        setattr(app, STATE_KEY, self)

    def _check_cookie_name(self, others: Iterable["StackAuth"]) -> None:
        """Reject a second stack whose cookies or operation ids would be those of another one of the same app.

        Raises:
            ConfigurationError: both can set cookies, or both have a router, under the same name.
        """
        name = self.settings.cookie_name
        for other in others:
            if other is self or other.settings.cookie_name != name:
                continue
            cookies = self.settings.cookies_possible and other.settings.cookies_possible
            if cookies or (self._has_router and other._has_router):  # noqa: SLF001 - of this very class
                shared = "cookies" if cookies else "routes' operation ids"
                raise ConfigurationError(
                    f'Two StackAuth of this app have the cookie_name "{name}", so their {shared} would mix. Each needs '
                    'a name of its own: pass StackAuth(cookie_name="...") for one of them.'
                )

    async def _session_times(self, access_token: str) -> Mapping[str, datetime]:
        sessions = await self.client.as_user(access_token).sessions.list()
        return {session.id: session.created_at for session in sessions}


def _storage(settings: Settings, clock: Callable[[], float], events: Events) -> Storage:
    if settings.redis_url is None:
        return MemoryStorage(clock)
    return RedisStorage(settings.redis_url.get_secret_value(), f"stackauth:{settings.project_id}:", clock, events)


def _default_sources(settings: Settings) -> tuple[CredentialSource, ...]:
    headers = HeaderCredentials()
    if not settings.app_url or not settings.cookies_possible:
        return (headers,)
    site, policy = Site(settings.app_url, settings.trusted_origins), CookiePolicy.of(settings)
    session = SessionCookies(site, policy.name(ACCESS), policy.name(REFRESH))
    return (headers, session, SdkCookies(site, settings.project_id)) if settings.sdk_cookies else (headers, session)


def _add_cookie_middleware(app: FastAPI) -> None:
    factory: Any = CookieMiddleware
    if all(middleware.cls is not factory for middleware in app.user_middleware):
        app.add_middleware(factory)


def _report_missing(app: FastAPI) -> None:
    """Report what is missing for the routes of an app, and of the apps mounted in it, whose lifespans never run."""
    for stack in stacks_of_app(app):
        report_missing(stack, find_missing(app, stack, default=default_stack(app) is stack))
    for route in app.routes:
        if isinstance(mounted := getattr(route, "app", None), FastAPI):
            _report_missing(mounted)


def _compose_lifespan(app: FastAPI, stack: StackAuth) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(scope_app: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - Starlette's own types
        stack._warn_of_variables()  # noqa: SLF001 - the app's start is the stack's
        async with inner(scope_app) as state:
            _report_missing(app)
            try:
                yield state
            finally:
                await stack.aclose()

    app.router.lifespan_context = lifespan
