"""Run an app under test with an emulator in this process instead of its auth server."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Self

import httpx
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.http.installed import find_installation
from fastapi_stackauth.plugin import StackAuth
from fastapi_stackauth.sessions.context import CookieMiddleware
from fastapi_stackauth.settings import Settings, to_origin
from fastapi_stackauth.testing.clients import NO_SITE, Clients, SyncClients
from fastapi_stackauth.testing.clock import Clock
from fastapi_stackauth.testing.outbox import Outbox
from fastapi_stackauth.testing.stacks import apps_under, stacks_under
from fastapi_stackauth.testing.users import Users

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # this needs an extra, but a TokenFactory does not

EMULATOR_URL = "https://stackauth.test"
"""The auth server's URL in tests, for issuers and links. No server listens there."""
NO_APP = (
    "There is no app. In conftest.py, override the fixture stack_app to return your FastAPI app; or set "
    'stack_app = "module:name" in the pytest settings; or pass app=... here.'
)


class Kit:
    """The test kit in the block of `emulate`.

    Attributes:
        emulator: The auth server. Its default project is the app's.
        user: Creates users.
        client: Creates instances of `httpx.AsyncClient` for the app.
        sync_client: Creates instances of `httpx.Client` for the app.
        outbox: The emails.
        clock: The clock of emulator and app.
    """

    def __init__(self, emulator: "Emulator", blocks: ExitStack) -> None:
        self._server = emulator
        self._blocks = blocks
        self._apps: list[FastAPI] = []
        self._projects: dict[int, str] = {}
        self._stacks: list[StackAuth] = []
        self.client = Clients(self._choose_app)
        self.sync_client = SyncClients(self._choose_app, blocks)
        self.clock = Clock(emulator)
        self._use_project(emulator)

    def add(self, app: FastAPI) -> None:
        """Connect another app to the emulator until the end of the block.

        Raises:
            ConfigurationError: The app has no `StackAuth`.
        """
        if any(known is app for known in self._apps):
            return
        for stack in stacks_under(app):
            if all(known is not stack for known in self._stacks):
                self._connect(stack)
        for each in apps_under(app):
            self._blocks.enter_context(_writing_cookies(each))
        self._apps.append(app)

    def for_stack(self, stack: StackAuth) -> Self:
        """Return a kit with the users, emails and emulator of another stack's project, for an app with several stacks.

        Raises:
            ConfigurationError: The stack is not installed on an app under test.
        """
        if id(stack) not in self._projects:
            raise ConfigurationError("This StackAuth is not installed on any app under test.")
        view = copy(self)
        view._use_project(self._server.for_project(self._projects[id(stack)]))  # noqa: SLF001 - a view has the same class
        return view

    def _use_project(self, emulator: "Emulator") -> None:
        self.emulator = emulator
        self.user = Users(emulator, self._forget)
        self.outbox = Outbox(emulator)

    def _connect(self, stack: StackAuth) -> None:
        """Connect a stack to the emulator with its own project id, so that several stacks have separate projects."""
        emulator = self._server.for_project(stack.settings.project_id or self._server.project_id)
        options = overrides(stack.settings, emulator)
        transport = httpx.ASGITransport(emulator.app)
        self._blocks.enter_context(stack.reconfigure(transport=transport, clock=emulator.clock.now, **options))
        _trust(emulator, stack.settings)
        self._projects[id(stack)] = emulator.project_id
        self._stacks.append(stack)
        if len(self._stacks) == 1:
            self._use_project(self._server.for_project(emulator.project_id))  # a reset returns to this state

    def _choose_app(self, app: FastAPI | None) -> FastAPI:
        if app is not None:
            self.add(app)
            return app
        if not self._apps:
            raise ConfigurationError(NO_APP)
        return self._apps[0]

    def _forget(self, user_id: str, team_id: str) -> None:
        for stack in self._stacks:
            stack.services.authorization.forget(user_id=user_id, team_id=team_id)


def overrides(settings: Settings, emulator: "Emulator") -> dict[str, Any]:
    """Return the settings that an app needs for the emulator.

    The keys of the app are replaced, and missing keys stay missing, so that the app has the same access as in
    production. An app without any settings gets all keys and an `app_url`.
    """
    keys: Mapping[str, Any] = {
        "publishable_client_key": emulator.publishable_client_key,
        "secret_server_key": emulator.secret_server_key,
    }
    bare = settings.project_id is None and not any(getattr(settings, name) for name in keys)
    return {
        **{name: value for name, value in keys.items() if bare or getattr(settings, name)},
        **({"app_url": NO_SITE} if bare and settings.app_url is None else {}),
        "project_id": emulator.project_id,
        "branch_id": "main",
        "base_url": emulator.url,
        "issuers": (),
        "jwks": None,
        "redis_url": None,
        "webhook_secrets": (emulator.webhook_secret,),
    }


def _trust(emulator: "Emulator", settings: Settings) -> None:
    """Add the app's origins to the trusted domains of its project, as you would in the dashboard."""
    domains = list(emulator.project.config["domains"])
    wanted = [settings.app_url, *settings.trusted_origins, *settings.redirect_urls]
    origins = [to_origin(address) for address in wanted if address and address.startswith(("http://", "https://"))]
    new = dict.fromkeys(origin for origin in origins if all(origin != domain["domain"] for domain in domains))
    emulator.configure(domains=[*domains, *({"domain": origin} for origin in new)])


@contextmanager
def _writing_cookies(app: Starlette) -> Iterator[None]:
    """Add the middleware that `install` leaves out without `app_url`, within the block."""
    factory: Any = CookieMiddleware
    wanted = any(stack.services.settings.cookies_possible for stack in find_installation(app).stacks)
    if not wanted or any(middleware.cls is factory for middleware in app.user_middleware):
        yield
        return
    ours = Middleware(factory)
    app.user_middleware.insert(0, ours)
    app.middleware_stack = None  # rebuilt for the next request
    try:
        yield
    finally:
        app.user_middleware.remove(ours)
        app.middleware_stack = None


def new_emulator(**options: Any) -> "Emulator":  # noqa: ANN401 - see Emulator
    """Create an emulator without a port.

    Raises:
        ConfigurationError: The extra `emulator` is not installed.
    """
    try:
        from fastapi_stackauth.emulator import Emulator  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The emulator needs packages that are not installed ({error.name}): "
            "pip install 'fastapi-stackauth[emulator]'."
        ) from None
    in_memory = options.get("data") is None
    return Emulator(**{"public_url": EMULATOR_URL, "fast_hashes": in_memory, **options})


@contextmanager
def emulate(*apps: FastAPI, emulator: "Emulator | None" = None, **options: Any) -> Iterator[Kit]:  # noqa: ANN401 - see Emulator
    """Connect these apps to an emulator in this process instead of their auth server, within the block.

    The apps need no changes. Every `StackAuth` installed on them, or on an app mounted in them, uses the emulator,
    keeps its other settings, and starts with empty caches. No port is opened.

    Args:
        *apps: The apps under test. `Kit.client` calls the first one.
        emulator: Your own emulator, which you close yourself. By default, a new one.
        **options: Arguments for a new emulator, such as `config={"require_email_verification": True}` or
            `profile="april-2026"` (see `Emulator`).

    Raises:
        ConfigurationError: An app has no `StackAuth`, or the extra `emulator` is not installed.

    Example:
        >>> with emulate(app) as kit:
        ...     ada = kit.user(team="Red", team_permissions=["posts:delete"])
        ...     assert kit.sync_client(ada).get("/me").json()["id"] == ada.id
    """
    with ExitStack() as blocks:
        if emulator is None:
            emulator = new_emulator(**options)
            blocks.callback(emulator.close)
        kit = Kit(emulator, blocks)
        for app in apps:
            kit.add(app)
        yield kit
