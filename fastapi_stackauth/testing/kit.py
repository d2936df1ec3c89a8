"""An app under test, as it stands, with an emulator in this process in place of its auth server."""

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
from fastapi_stackauth.testing.mail import Outbox
from fastapi_stackauth.testing.people import Users
from fastapi_stackauth.testing.stacks import apps_under, stacks_under

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # needs an extra, which a TokenFactory alone does without

EMULATOR_URL = "https://stackauth.test"
"""The auth server's address in tests, in issuers and links. Nothing listens there."""
NO_APP = (
    "No app is named. In conftest.py, override the fixture stack_app to return your FastAPI app; or set "
    'stack_app = "module:name" in the pytest settings; or pass app=... here.'
)


class Kit:
    """What a test works with while an app is `emulate`.

    Attributes:
        emulator: the auth server; its default project is the app's.
        user: makes people.
        client: makes `httpx.AsyncClient`s of the app.
        sync_client: makes `httpx.Client`s of the app.
        outbox: the mails.
        clock: the time.
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
        self._print_address(emulator)

    def add(self, app: FastAPI) -> None:
        """Let one more app talk to the emulator until the end of the block.

        Raises:
            ConfigurationError: it has no `StackAuth`.
        """
        if any(known is app for known in self._apps):
            return
        for stack in stacks_under(app):
            if all(known is not stack for known in self._stacks):
                self._connect(stack)
        for each in apps_under(app):
            self._blocks.enter_context(_writing_cookies(each))
        self._apps.append(app)

    def of(self, stack: StackAuth) -> Self:
        """This kit with people, mails and emulator of another stack's project, in an app that has several.

        Raises:
            ConfigurationError: it is not of an app under test.
        """
        if id(stack) not in self._projects:
            raise ConfigurationError("This StackAuth is not installed on an app under test.")
        view = copy(self)
        view._print_address(self._server.for_project(self._projects[id(stack)]))  # noqa: SLF001 - a view is of this very class
        return view

    def _print_address(self, emulator: "Emulator") -> None:
        self.emulator = emulator
        self.user = Users(emulator, self._forget)
        self.outbox = Outbox(emulator)

    def _connect(self, stack: StackAuth) -> None:
        """Point a stack at the emulator, which takes over its project id: several stacks keep projects of their own."""
        emulator = self._server.for_project(stack.settings.project_id or self._server.project_id)
        options = overrides(stack.settings, emulator)
        transport = httpx.ASGITransport(emulator.app)
        self._blocks.enter_context(stack.reconfigure(transport=transport, clock=emulator.clock.now, **options))
        _trust(emulator, stack.settings)
        self._projects[id(stack)] = emulator.project_id
        self._stacks.append(stack)
        if len(self._stacks) == 1:
            self._print_address(self._server.for_project(emulator.project_id))  # which resets to what it is now

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
    """What of an app's settings must change for the emulator.

    Keys that the app has are replaced, and those that it has not stay away, so that its calls are made with the access
    that they have in production. An app without any settings gets all keys, and an `app_url`.
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
    """Name the app's addresses in its project, as one does in the dashboard: links and redirects may lead there."""
    domains = list(emulator.project.config["domains"])
    wanted = [settings.app_url, *settings.trusted_origins, *settings.redirect_urls]
    origins = [to_origin(address) for address in wanted if address and address.startswith(("http://", "https://"))]
    new = dict.fromkeys(origin for origin in origins if all(origin != domain["domain"] for domain in domains))
    emulator.configure(domains=[*domains, *({"domain": origin} for origin in new)])


@contextmanager
def _writing_cookies(app: Starlette) -> Iterator[None]:
    """While the block runs, the app has the middleware that `install` left out where it knew of no `app_url`."""
    factory: Any = CookieMiddleware
    wanted = any(stack.services.settings.cookies_possible for stack in find_installation(app).stacks)
    if not wanted or any(middleware.cls is factory for middleware in app.user_middleware):
        yield
        return
    ours = Middleware(factory)
    app.user_middleware.insert(0, ours)
    app.middleware_stack = None  # built anew with the next request
    try:
        yield
    finally:
        app.user_middleware.remove(ours)
        app.middleware_stack = None


def new_emulator(**options: Any) -> "Emulator":  # noqa: ANN401 - see Emulator
    """An emulator that listens nowhere.

    Raises:
        ConfigurationError: the extra `emulator` is not installed.
    """
    try:
        from fastapi_stackauth.emulator import Emulator  # noqa: PLC0415 - only where one is wanted
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The emulator needs packages that are not installed ({error.name}): "
            "pip install 'fastapi-stackauth[emulator]'."
        ) from None
    in_memory = options.get("data") is None
    return Emulator(**{"public_url": EMULATOR_URL, "fast_hashes": in_memory, **options})


@contextmanager
def emulate(*apps: FastAPI, emulator: "Emulator | None" = None, **options: Any) -> Iterator[Kit]:  # noqa: ANN401 - see Emulator
    """While the block runs, these apps talk to an emulator in this process instead of their auth server.

    The apps stay as they are: every `StackAuth` installed on them, or on an app mounted in them, is pointed at the
    emulator with its other settings kept, and remembers nothing from before. No port is opened.

    Args:
        *apps: the apps under test; `Kit.client` means the first.
        emulator: an own emulator, which stays yours to close; a new one by default.
        **options: for a new one, such as `config={"require_email_verification": True}` or `profile="april-2026"` (see
            `Emulator`).

    Raises:
        ConfigurationError: an app has no `StackAuth`, or the extra `emulator` is not installed.

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
