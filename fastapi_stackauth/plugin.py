"""`StackAuth`: the composition root, which is the only file that imports all other parts."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from fastapi import APIRouter, FastAPI

from fastapi_stackauth import http, mcp, pages
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.library import HttpClient, HttpTransport
from fastapi_stackauth.dependencies import IdentifyUser, Require
from fastapi_stackauth.errors import ConfigurationError, StackAuthError
from fastapi_stackauth.http.handlers import stack_auth_error_handler
from fastapi_stackauth.http.health import (
    HealthReport,
    check_health,
    missing_settings,
    readiness_router,
)
from fastapi_stackauth.http.installed import (
    StackNotInstalled,
    add_router,
    check_app,
    check_cookie_name,
    find_installation,
    remember,
)
from fastapi_stackauth.http.lifespan import compose_lifespan, start_telemetry
from fastapi_stackauth.http.openapi import enrich, install_openapi
from fastapi_stackauth.routers.mounting import MountsRouters
from fastapi_stackauth.runtime.events import VARIABLES_CONFLICT, AuthEvents
from fastapi_stackauth.runtime.limits import AttemptLimiter
from fastapi_stackauth.runtime.redaction import install_redaction
from fastapi_stackauth.services import Services
from fastapi_stackauth.sessions.context import add_cookie_middleware
from fastapi_stackauth.sessions.cookie_sessions import ACCESS, Sessions
from fastapi_stackauth.sessions.cookies import CookiePolicy, SessionCookies
from fastapi_stackauth.sessions.credentials import CredentialSource, QueryToken, check_sources
from fastapi_stackauth.settings import Options, Settings, variables_conflict
from fastapi_stackauth.startup.misuse import install_check
from fastapi_stackauth.verification.revocation import Revocations
from fastapi_stackauth.verification.verifier import Verifier

if TYPE_CHECKING:  # older FastAPI versions do not depend on it
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


class StackAuth(MountsRouters):
    """Stack Auth (Hexclave) for one FastAPI app.

    Args:
        sources: The places of access tokens, in this order. By default, the headers and, with `sdk_cookies=True`, the
            JavaScript SDK's cookies.
        http_client: An `AsyncClient` from httpx or httpx2 for calls to the auth server. You must close it yourself.
        transport: A transport of httpx or httpx2 for them.
        clock: Returns the Unix time in seconds, for tests of expiry.
        tracer_provider: The OpenTelemetry provider for spans. By default, the one set when the app starts.
        meter_provider: The OpenTelemetry provider for metrics, with the same default.
        **options: The settings. Those that you do not pass are read from the environment (see `Settings`).

    The constructor does not use the network. A missing project id is an error at its first use.

    Example:
        >>> stack = StackAuth()
        >>> app = FastAPI()
        >>> stack.install(app)
        >>> app.include_router(stack.router(delivery="body"), prefix="/api/auth")

    Raises:
        ConfigurationError: A setting is wrong. The message names it.
    """

    def __init__(
        self,
        *,
        sources: Sequence[CredentialSource] | None = None,
        http_client: HttpClient | None = None,
        transport: HttpTransport | None = None,
        clock: Callable[[], float] = time.time,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        self._own_sources = None if sources is None else check_sources(sources)
        self._given = frozenset(options)
        settings = Settings.load(options)
        client = StackAuthClient(settings, http_client=http_client, transport=transport, events=AuthEvents())
        self.services = Services.compose(client, settings, clock, self._own_sources)
        if tracer_provider is not None or meter_provider is not None:
            start_telemetry(self, tracer_provider, meter_provider)

    def __repr__(self) -> str:
        return f"StackAuth(project_id={self.settings.project_id!r}, base_url={self.settings.base_url!r})"

    # --- its parts ---

    @property
    def settings(self) -> Settings:
        """All settings."""
        return self.services.settings

    @property
    def client(self) -> StackAuthClient:
        """The auth server's API."""
        return self.services.client

    @property
    def sessions(self) -> Sessions:
        """Cookie sessions, for your own sign-in routes."""
        return self.services.sessions

    @property
    def events(self) -> AuthEvents:
        """Event hooks and counters."""
        return self.services.events

    @property
    def verifier(self) -> Verifier:
        """The verifier, for tokens outside of a request."""
        return self.services.verifier

    @property
    def revocations(self) -> Revocations:
        """The revocation list, for rejecting tokens before they expire."""
        return self.services.revocations

    @property
    def limiter(self) -> AttemptLimiter:
        """The rate limiter, for attempts on your own routes."""
        return self.services.limiter

    # --- dependencies of this very stack ---

    @property
    def current_user(self) -> Require:
        """`current_user` of this stack, for apps that install several stacks."""
        return Require(stack=self)

    @property
    def optional_user(self) -> IdentifyUser:
        """`optional_user` of this stack, for apps that install several stacks."""
        return IdentifyUser(stack=self)

    # --- the app ---

    def install(self, app: FastAPI, *, default: bool = True) -> None:
        """Install error handlers, cookie sessions and OpenAPI documentation, and close the client at shutdown.

        Call it before the first request. It keeps the app's own lifespan and `openapi()`.

        Args:
            app: The app; a mounted FastAPI app needs its own `install`.
            default: Whether dependencies without a stack, such as `current_user`, use this one.

        Raises:
            ConfigurationError: The app already has a default stack or one with the same `cookie_name`, the app is
                already serving requests, or it is not a FastAPI app.
        """
        check_app(app)
        if app.middleware_stack is not None:
            raise ConfigurationError(
                "This app is already serving requests. Call stack.install(app) before the first one."
            )
        known = find_installation(app).stacks
        check_cookie_name(self, known)
        remember(app, self, default=default)
        if StackAuthError not in app.exception_handlers:
            # Starlette has separate types for handlers of requests and of WebSockets.
            handler: Any = stack_auth_error_handler
            app.add_exception_handler(StackAuthError, handler)
        pass_on: Any = None  # with None as the handler, Starlette does not handle the class
        app.add_exception_handler(StackNotInstalled, pass_on)
        if not known:
            install_check(app)
        self.apps.add(app)
        install_openapi(app, self._enrich_schema)
        if self.settings.cookies_possible:
            add_cookie_middleware(app)
        compose_lifespan(app, self, self._warn_of_variables, self.aclose)
        install_redaction(tuple(s.parameter for s in self.services.sources if isinstance(s, QueryToken)))

    def webhooks(self, path: str) -> "http.WebhookRouter":
        """Return a router for the auth server's webhooks at this path, for `app.include_router`; see `WebhookRouter`.

        The router verifies messages with the setting `webhook_secrets`. It rejects the tokens of deleted users, and
        drops cached permissions and teams that have changed.
        """
        return http.WebhookRouter(self, path)

    def mount_mcp(
        self,
        app: FastAPI,
        path: str,
        *,
        include_tags: Collection[str] = frozenset(),
        include_operations: Collection[str] = frozenset(),
        allow_unauthenticated: bool = False,
        call_timeout: float = 30.0,
        resource_tokens: "mcp.ResourceTokens | None" = None,
    ) -> None:
        """Serve chosen routes of the app as MCP tools at this path, for AI agents. Needs the extra `mcp`.

        Each call runs its route in the same process. `CurrentUser`, `Require(...)`, API keys and rate limits work as
        they do over HTTP. Callers send an access token or an API key as `Authorization: Bearer`; other credentials are
        ignored. The tools are created when the app starts. Routes of this library are never tools. Needs `app_url`.

        Args:
            app: The app, on which this stack is installed.
            path: The path of the server, such as ``/mcp``. Its identifier is `app_url` plus this path.
            include_tags: GET routes with one of these tags are tools.
            include_operations: Routes with one of these operation ids are tools, whatever their method.
            allow_unauthenticated: Accept requests without a credential. The routes of the tools then decide.
            call_timeout: The time limit of a tool call, in seconds.
            resource_tokens: An OAuth authorization server. Its tokens are also accepted if they are bound to this
                server (RFC 8707). Needs `secret_server_key`.

        Example:
            >>> stack.install(app)
            >>> stack.mount_mcp(app, "/mcp", include_tags={"notes"})

        Raises:
            ConfigurationError: No route is chosen, an argument is wrong, the stack is not installed on the app, or the
                extra is missing. Raised when the app starts if a chosen route does not exist or cannot be a tool.
        """
        mcp.mount(
            self,
            app,
            path,
            include_tags=include_tags,
            include_operations=include_operations,
            allow_unauthenticated=allow_unauthenticated,
            call_timeout=call_timeout,
            resource_tokens=resource_tokens,
            enrich=self._enrich_schema,
        )

    def pages_router(
        self,
        *,
        prefix: str,
        theme: "pages.Theme | None" = None,
        templates: str | Path | None = None,
        languages: Sequence[str] = ("en", "de", "fr", "es"),
        catalogs: str | Path | None = None,
        oauth_scopes: Mapping[str, str] | None = None,
        create_team: Require | None = None,
    ) -> APIRouter:
        """Return prebuilt HTML pages for sign-in, accounts and links in emails, for `app.include_router(...)`.

        The pages show the methods that the project has enabled, and have their own form handlers. They need the extra
        `pages` and `app_url`, and work without `stack.router()`. Links in emails open these pages unless `pages=` of a
        router has another page. Browsers without a session are redirected to the sign-in page unless `sign_in_url` is
        set.

        Args:
            prefix: The prefix of the pages, such as ``/handler``. Include the router without another prefix.
            theme: The look of the pages.
            templates: A folder with your own Jinja2 templates, which extend or replace those of the library.
            languages: The language tags of the pages, with the default first. A browser gets the language that the user
                chose (the cookie `stackauth_language`), or the best match for its header `Accept-Language`.
            catalogs: A folder with gettext catalogs that add a language or replace texts.
            oauth_scopes: Additional scopes to request at each sign-in, by provider, separated by spaces.
            create_team: The requirements for creating a team, in addition to the project's setting, as for
                `teams_router`.

        Raises:
            ConfigurationError: The prefix is not a path, the theme or `create_team` has the wrong type, a template has
                a mistake, a language has no catalog, the extra is not installed, the stack has pages under another
                prefix, or browsers would not store cookies for `app_url`.
        """
        add_router(self)
        return pages.build_pages_router(
            self,
            prefix=prefix,
            theme=theme,
            templates=templates,
            languages=languages,
            catalogs=catalogs,
            oauth_scopes=oauth_scopes,
            create_team=create_team,
        )

    def readiness(self, path: str) -> APIRouter:
        """Return a router with a readiness route for `app.include_router`: 200 with a `HealthReport`, or 503."""
        return readiness_router(self, path)

    def missing_settings(self) -> Mapping[str, tuple[str, ...]]:
        """Return the missing settings that routes need, each with those routes.

        It includes the routes of every app on which this stack is installed.
        """
        return missing_settings(self)

    async def health(self) -> HealthReport:
        """Return the health of authentication in this worker: keys, fallback, Redis and missing settings."""
        return await check_health(self)

    async def warm_up(self) -> None:
        """Fetch the signing keys now, so that the first request does not wait. Call it in the app's lifespan.

        Raises:
            VerificationUnavailable: The fetch failed; the app may start anyway.
            ConfigurationError: No project id is set.
        """
        await self.verifier.warm_up()

    async def aclose(self) -> None:
        """Close the connections of the running event loop. `install` does this when the app shuts down."""
        await self.services.aclose()

    @contextmanager
    def reconfigure(
        self,
        *,
        transport: HttpTransport | None = None,
        clock: Callable[[], float] | None = None,
        **options: Unpack[Options],
    ) -> Iterator[None]:
        """Use other settings and empty caches within the block, for tests of an app.

        Routers, dependencies and webhook handlers of this stack use them too. The effects of `install` do not change,
        such as whether the app has cookies. `fastapi_stackauth.testing.emulate` uses it for a whole app.

        Args:
            transport: A transport of httpx or httpx2 for calls to the auth server; `http_client` is not used meanwhile.
            clock: Returns the Unix time in seconds.
            **options: The settings to change. All others keep their values, whatever is in the environment.

        Raises:
            ConfigurationError: A setting is wrong.
        """
        before = self.services
        kept: dict[str, Any] = {name: getattr(before.settings, name) for name in Settings.model_fields}
        settings = Settings.load({**kept, **options})
        client = StackAuthClient(settings, transport=transport, events=before.events)
        self.services = Services.compose(client, settings, clock or before.clock, self._own_sources)
        try:
            yield
        finally:
            self.services = before

    # --- inside ---

    def _warn_of_variables(self) -> None:
        """Log each setting for which two environment variables have different values."""
        for field, names in variables_conflict().items():
            if field not in self._given:
                self.events.emit(VARIABLES_CONFLICT, used=names[0], ignored=" ".join(names[1:]))

    def _enrich_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        settings = self.settings
        reads_cookies = any(isinstance(source, SessionCookies) for source in self.services.sources)
        cookie = CookiePolicy.of(settings).name(ACCESS) if reads_cookies else None
        hidden_teams = settings.unknown_team == "permission_missing"
        return enrich(schema, settings.error_format, cookie, hidden_teams=hidden_teams)
