"""A mistake never opens a route: it raises when the route is declared, or when the app starts."""

import dataclasses
import functools
import inspect
import pydoc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import GenericAlias
from typing import Annotated, Any, NewType, TypeVar, get_args, get_origin
from unittest import mock

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Form, Header, Query, Security, WebSocket
from pydantic import BaseModel, JsonValue
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

import fastapi_stackauth
from fastapi_stackauth import (
    AccessToken,
    ConfigurationError,
    CurrentTeam,
    CurrentUser,
    HeaderCredentials,
    LoadProfile,
    OptionalUser,
    Profile,
    QueryToken,
    Require,
    RequireTeam,
    SessionWatch,
    StackAuth,
    Team,
    User,
    WatchSession,
    current_team,
    current_user,
)
from fastapi_stackauth.models import ServerUser
from tests.dependencies.helpers import Preferences, start
from tests.support.asgi import call, connect
from tests.support.rows import rows
from tests.support.world import World

GUARDS = {
    "AccessToken", "ApiKeyTeam", "ApiKeyUser", "Credential", "CurrentProfile", "CurrentTeam", "CurrentUser",
    "DisplayUser", "HeaderCredentials", "IdentifyUser", "LoadProfile", "OptionalUser", "QueryToken", "Require",
    "RequireAccessToken",
    "RequireTeam", "RequireTeamApiKey", "RequireUserApiKey", "SdkCookies", "SessionWatch", "WatchSession",
    "access_token", "api_key_team", "api_key_user", "current_profile", "current_team", "current_user", "display_user",
    "optional_user",
    "sign_in_methods", "totp_enrollment",
}  # fmt: skip
"""Dependencies, their classes and aliases, and what only a dependency gives: each use works, or raises."""

MODELS = {
    "CurrentUserProfile", "Profile", "ProjectPermissionEvent", "SignInMethods", "Team", "TeamDeletedEvent",
    "TotpEnrollment", "TeamEvent",
    "TeamMembershipEvent", "TeamPermissionEvent", "User", "UserDeletedEvent", "UserEvent", "WebhookEvent",
}  # fmt: skip
"""What the library vouches for: the app does not start if FastAPI would read one from a request."""

OTHERS = {
    "AuthError", "AuthServerError", "AuthServerMisconfigured", "AuthServerUnavailable", "ConfigurationError",
    "CredentialSource", "AuthEvent", "AuthEvents", "Grants", "HealthReport", "KnownApiError", "OriginPolicy",
    "SessionCheck", "Settings", "StackAuth", "Theme",
    "StackAuthClient", "StackAuthError", "TokenKind", "VerificationUnavailable", "WebhookRouter", "__version__",
    "error_response", "problem_document", "stack_auth_error_handler",
}  # fmt: skip
"""Plain data, errors and functions: none of them looks like a guard, and none works as a dependency."""


def _parameter(annotation: Any = inspect.Parameter.empty, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter("value", kind, annotation=annotation, default=default)


USES: dict[str, Callable[[Any], inspect.Parameter]] = {
    "Depends": lambda it: _parameter(default=Depends(it)),
    "Depends in Annotated": lambda it: _parameter(Annotated[Any, Depends(it)]),
    "annotation": _parameter,
    "annotation or None": lambda it: _parameter(it | None, default=None),
    "annotation in a list": lambda it: _parameter(GenericAlias(list, it), default=None),
    "Annotated without Depends": lambda it: _parameter(Annotated[str, it]),
    "default": lambda it: _parameter(default=it),
    "default beside a type": lambda it: _parameter(User, default=it),
}


def _endpoint(parameter: inspect.Parameter) -> Callable[..., Any]:
    async def endpoint(**_values: Any) -> None: ...

    endpoint.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]  # what FastAPI reads
    return endpoint


def new_app() -> FastAPI:
    """An app without routes."""
    app = FastAPI()
    StackAuth(project_id="p").install(app)
    return app


@pytest.fixture
def app() -> FastAPI:
    return new_app()


async def record_calls(use: str, it: Any, method: str) -> list[Any] | None:
    """Declare a route with one parameter and start the app: the dependencies that FastAPI calls; None if it raises."""
    app = new_app()
    try:
        app.add_api_route("/it/{team_id}", _endpoint(USES[use](it)), methods=[method])
        await start(app)
    except Exception:  # noqa: BLE001 - FastAPI's own errors count as well
        return None
    route: Any = app.routes[-1]
    return [dependant.call for dependant in route.dependant.dependencies]


def test_every_public_name_is_in_one_list():
    assert sorted([*GUARDS, *MODELS, *OTHERS]) == sorted(fastapi_stackauth.__all__)


@rows("method", ["GET", "POST"])
@rows("use", USES)
@rows("name", sorted(GUARDS))
async def test_a_guard_works_or_raises(name: str, use: str, method: str):
    it = getattr(fastapi_stackauth, name)
    meant = get_args(it)[1].dependency if get_origin(it) is Annotated else it
    assert await record_calls(use, it, method) in (None, [meant])


@rows("name", sorted(GUARDS))
async def test_only_the_documented_uses_of_a_guard_work(name: str):
    it = getattr(fastapi_stackauth, name)
    works = {"annotation"} if get_origin(it) is Annotated else {"Depends", "Depends in Annotated"}
    if inspect.isclass(it):
        works = set()
    assert {use for use in USES if await record_calls(use, it, "GET")} == works


@rows("method", ["GET", "POST"])
@rows("use", USES)
@rows("name", sorted(MODELS))
async def test_a_model_of_ours_is_never_read_from_a_request(name: str, use: str, method: str):
    assert await record_calls(use, getattr(fastapi_stackauth, name), method) is None


@rows("name", sorted(OTHERS))
async def test_nothing_else_is_taken_for_a_dependency(name: str):
    assert await record_calls("Depends", getattr(fastapi_stackauth, name), "GET") is None


# --- when the route is declared ---


class Custom(Require):
    """A subclass of an app's own."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Extended(Require):
    extra: int = 1


class Tuned(QueryToken): ...


@pytest.mark.parametrize("it", [Require, Custom, Extended, LoadProfile, WatchSession, HeaderCredentials, Tuned])
@pytest.mark.parametrize("wrap", [lambda it: it, functools.partial], ids=["class", "partial"])
def test_a_class_inside_depends_raises_at_its_declaration(app: FastAPI, it: type, wrap: Any):
    with pytest.raises(ConfigurationError, match=rf"Depends\({it.__name__}\) passes the class.*Write `"):
        app.get("/it", dependencies=[Depends(wrap(it))])(lambda: None)
    with pytest.raises(ConfigurationError):
        app.websocket("/ws", dependencies=[Depends(wrap(it))])(lambda: None)


@pytest.mark.parametrize(
    "it", [Require, Require | None, list[Require], Annotated[User, current_user], LoadProfile[Any]]
)
def test_an_annotation_without_depends_raises_at_its_declaration(app: FastAPI, it: Any):
    with pytest.raises(ConfigurationError, match=r"without Depends\(\.\.\.\).*Write `"):
        app.post("/it")(_endpoint(_parameter(it)))


@rows("name", sorted(name for name in GUARDS if get_origin(getattr(fastapi_stackauth, name))))
def test_an_alias_inside_depends_raises_at_its_declaration(app: FastAPI, name: str):
    with pytest.raises(ConfigurationError, match=f"Write `value: {name}`"):
        app.get("/it", dependencies=[Depends(getattr(fastapi_stackauth, name))])(lambda: None)


@pytest.mark.parametrize("it", [current_user, Require, Custom(), RequireTeam()], ids=repr)
async def test_a_bare_dependency_in_a_list_raises_with_what_to_write(app: FastAPI, it: Any):
    text = r"takes Depends\(\.\.\.\).*Write dependencies=\[Depends\(\w+\(\.\.\.\)\)\]"
    with pytest.raises(ConfigurationError, match=text):
        app.get("/it", dependencies=[it])(lambda: None)
    assert not hasattr(it, "dependency")
    router = APIRouter()
    router.get("/it")(lambda: None)
    with pytest.raises(ConfigurationError, match=text):  # noqa: PT012 - either step may raise
        app.include_router(router, dependencies=[it])  # older FastAPI looks at it now, newer when the app starts
        await start(app)


def test_pythons_own_tools_read_guarded_classes():
    assert "Require(...)" in pydoc.render_doc(Require)
    assert dict(inspect.getmembers(current_user))["describe"] == current_user.describe
    assert dict(inspect.getmembers(Require))["describe"] is Require.describe
    assert mock.create_autospec(Require).describe
    with pytest.raises(TypeError):
        _ = inspect.signature(Require).parameters
    assert list(inspect.signature(current_user).parameters) == ["connection", "scopes"]
    assert Extended.__doc__ == "Extended(...)"
    assert dataclasses.replace(Extended(extra=2), live=True) == Extended(extra=2, live=True)


# --- when the app starts ---


class Payload(BaseModel):
    note: str


class Mine(User):
    """A user model of an app's own."""


Renamed = NewType("Renamed", User)
Bound = TypeVar("Bound", bound=User)


class Context:
    """A dependency of an app's own, written as a class."""

    def __init__(self, user: User) -> None:
        self.user = user


FORGOTTEN: dict[str, Any] = {
    "user": User,
    "or none": User | None,
    "list": list[Team],
    "mapping": dict[str, list[User]],
    "subclass": Mine,
    "metadata model": Profile[Preferences],
    "server's view": ServerUser,
    "new type": Renamed,
    "type variable": Bound,
    "plain annotated": Annotated[User, "the caller"],
    "query": Annotated[User, Query()],
    "header": Annotated[User, Header()],
    "alias or none": CurrentUser | None,
    "alias in a list": list[CurrentTeam],
    "alias with a query": Annotated[CurrentUser, Query()],
    "alias with a body": Annotated[CurrentUser, Body()],
    "alias with a body, by a body": Annotated[User, Body(), Depends(current_user), Body()],
    "token or none": AccessToken | None,
    "token as header": Annotated[AccessToken, Header()],
}


@pytest.mark.parametrize("annotation", FORGOTTEN.values(), ids=FORGOTTEN)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_forgotten_depends_stops_the_start(app: FastAPI, annotation: Any, method: str):
    router = APIRouter(prefix="/v1")
    router.add_api_route("/it/{other}", _endpoint(_parameter(annotation)), methods=[method], include_in_schema=False)
    app.include_router(router, prefix="/api")
    with pytest.raises(ConfigurationError, match=rf"{method} /api/v1/it/{{other}}: parameter `value` .*Write "):
        await start(app)
    with pytest.raises(ConfigurationError, match="parameter `value`"):
        app.openapi()
    with pytest.raises(ConfigurationError, match="parameter `value`"):
        await call(app, "/api/v1/it/1", method=method)  # no lifespan runs here


async def test_a_body_that_is_named_as_one_passes(app: FastAPI):
    @app.post("/annotated")
    async def annotated_route(
        user: Annotated[User, Body()], team: Annotated[Team | None, Body(embed=True)] = None
    ) -> None: ...

    @app.post("/default")
    async def default(users: list[User] = Body()) -> None: ...  # noqa: B008 - FastAPI's older way

    @app.post("/form")
    async def form(user: Annotated[User, Form()]) -> None: ...

    await start(app)
    assert app.openapi()["paths"].keys() == {"/annotated", "/default", "/form"}


async def test_what_is_not_ours_and_what_is_right_passes(app: FastAPI):
    @app.post("/teams/{team_id}")
    async def everything(
        user: CurrentUser,
        maybe: OptionalUser,
        team: CurrentTeam,
        watch: Annotated[SessionWatch, Depends(WatchSession(require=Require(team_member="team_id")))],
        payload: Payload,
        strings: Annotated[list[str], Query()],
        q: Annotated[str | None, Query()] = None,
        own: User = Depends(current_user),  # noqa: B008 - FastAPI's older way
    ) -> User:
        return user

    @app.post("/raw", include_in_schema=False)
    async def raw(value: JsonValue) -> None: ...

    await start(app)
    assert app.openapi()["paths"].keys() == {"/teams/{team_id}"}


async def test_mistakes_in_inner_dependencies_are_found(app: FastAPI):
    """Mistakes of inner dependencies and models as dependencies are found."""

    def account(user: User = current_user) -> User:  # type: ignore[assignment]  # the mistake
        return user

    @app.get("/inner")
    async def inner(
        user: Annotated[User, Depends(account)],
        context: Annotated[Context, Depends()],
        me: Annotated[User, Depends()],
        team: Annotated[Team, Depends(Annotated[Team, Depends(current_team)] | None)],
    ) -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        await start(app)
    assert [line.partition(": ")[2][:38] for line in str(caught.value).splitlines()[1:]] == [
        "parameter `user` has Require(...) as i",
        "parameter `user` is a User that FastAP",
        "Depends(User) lets the caller choose i",
        "Depends(...) wraps an alias that alrea",
    ]


@pytest.mark.parametrize("inner", [False, True])
async def test_scopes_stop_the_start(app: FastAPI, inner: bool):
    async def own(user: CurrentUser) -> User:
        return user

    app.get("/it", dependencies=[Security(own if inner else current_user, scopes=["posts:write"])])(lambda: None)
    with pytest.raises(ConfigurationError, match=r"GET /it: Security\(\.\.\., scopes=\['posts:write'\]\)"):
        await start(app)


TEAM_SOURCES = [
    current_team,
    RequireTeam("team_id"),
    Require(team_member="team_id"),
    Require(team_permission="posts:write", team="team_id"),
    LoadProfile(require=Require(team_member="team_id")),
    WatchSession(require=Require(team_member="team_id")),
]


@pytest.mark.parametrize("dependency", TEAM_SOURCES, ids=lambda it: type(it).__name__)
async def test_a_team_that_the_path_does_not_name_stops_the_start(app: FastAPI, dependency: Any):
    @app.websocket("/feed/{id}")
    async def feed(websocket: WebSocket, it: Annotated[Any, Depends(dependency)]) -> None: ...

    with pytest.raises(ConfigurationError, match=r"WEBSOCKET /feed/\{id\}: .*'team_id'.*Add \{team_id\} to the path"):
        await start(app)


@pytest.mark.parametrize("dependency", TEAM_SOURCES, ids=lambda it: type(it).__name__)
async def test_a_team_may_stand_in_the_prefix_of_a_router_or_a_mount(app: FastAPI, dependency: Any):
    router, child = APIRouter(dependencies=[Depends(dependency)]), FastAPI()
    for each in (router, child):
        each.get("/posts", dependencies=[Depends(dependency)])(lambda: None)
    StackAuth(project_id="p").install(child)
    app.include_router(router, prefix="/teams/{team_id:int}")
    app.mount("/mounted/{team_id}", GZipMiddleware(child))
    await start(app)
    assert child.openapi()  # which knows nothing of the mount


async def test_a_mount_may_name_the_team_of_a_running_app():
    """A mount may name the team of an app whose lifespan the parent enters."""
    child = FastAPI()
    StackAuth(project_id="p").install(child)
    child.get("/posts", dependencies=[Depends(current_team)])(lambda: None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with child.router.lifespan_context(child):
            yield

    parent = FastAPI(lifespan=lifespan)
    parent.mount("/teams/{team_id}", child)
    await start(parent)


# --- mounted apps, and apps whose lifespan never runs ---


async def test_the_start_of_an_app_checks_what_is_mounted_in_it(app: FastAPI):
    app.mount("/child", GZipMiddleware(Starlette(routes=[Mount("/deep", _plain_child())])))
    with pytest.raises(ConfigurationError, match="GET /child/deep/it: parameter `value`"):
        await start(app)


def _plain_child() -> FastAPI:
    child = FastAPI()
    child.add_api_route("/it", _endpoint(_parameter(User | None, default=None)), methods=["GET"])
    return child


async def test_an_installed_mount_closes_if_the_parent_is_not():
    """A mounted app with an install is closed if its parent has none."""
    child, parent = _plain_child(), FastAPI()

    @child.websocket("/ws")
    async def ws(websocket: WebSocket) -> None: ...

    StackAuth(project_id="p").install(child)
    parent.mount("/child", child)
    await start(parent)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="GET /it: parameter `value`"):
            await call(parent, "/child/it")
        with pytest.raises(ConfigurationError, match="GET /it: parameter `value`"):
            await connect(parent, "/child/ws")


async def test_a_server_is_told_that_the_start_failed():
    """A server goes on without a lifespan if the app raises at once, so the error must come from within it."""
    app = _plain_child()
    StackAuth(project_id="p").install(app)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ConfigurationError):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "GET /it: parameter `value`" in sent[0]["message"]


async def test_later_requests_check_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    checked: list[Any] = []

    def no_routes(app: FastAPI) -> list[Any]:
        checked.append(app)
        return []

    monkeypatch.setattr("fastapi_stackauth.startup.misuse.iterate_routes", no_routes)
    app = world.app()
    world.stack.install(app, default=False)
    await call(app, "/me")
    first = len(checked)
    for _ in range(3):
        await call(app, "/me")
    assert len(checked) == first >= 1


async def test_an_alias_by_the_type_statement_is_looked_into(app: FastAPI):
    """Python 3.11 has no such statement: there a `NewType` in a union takes its place."""
    namespace: dict[str, Any] = {"User": User, "NewType": NewType}
    has_statement = sys.version_info >= (3, 12)
    exec("type Me = User | None" if has_statement else "Me = NewType('Me', User) | None", namespace)
    app.get("/it")(_endpoint(_parameter(namespace["Me"])))
    with pytest.raises(ConfigurationError, match="parameter `value` is a User"):
        await start(app)
