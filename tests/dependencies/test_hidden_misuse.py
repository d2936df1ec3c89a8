"""Mistakes that are not plain in a parameter: dependencies inside models, references in strings, what may be None."""

import dataclasses
import functools
from collections.abc import Coroutine
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, Optional, TypeVar

import pytest
from fastapi import Body, Depends, FastAPI, Query
from fastapi.security import SecurityScopes
from pydantic import BaseModel, JsonValue
from starlette.requests import HTTPConnection
from typing_extensions import TypeAliasType, TypedDict

from fastapi_stackauth import (
    ConfigurationError,
    CurrentUser,
    IdentifyUser,
    OptionalUser,
    Require,
    StackAuth,
    Team,
    User,
    current_user,
    optional_user,
)
from fastapi_stackauth.errors import AuthError
from fastapi_stackauth.testing import unguarded_routes
from tests.dependencies.helpers import start
from tests.support.asgi import call

Item = TypeVar("Item")
Either = TypeVar("Either", User, Team)


@pytest.fixture
def app() -> FastAPI:
    """An app without routes."""
    app = FastAPI()
    StackAuth(project_id="p").install(app)
    return app


def declare(app: FastAPI, annotation: Any, **default: Any) -> None:
    """Declare a route with one parameter."""

    async def endpoint(value: Any = None) -> str:
        return repr(value)

    endpoint.__annotations__["value"] = annotation
    endpoint.__defaults__ = tuple(default.values()) or None
    app.post("/it")(endpoint)


class Model(BaseModel):
    user: CurrentUser
    note: str = ""


class Outer(BaseModel):
    models: list[Model]


class Page(BaseModel, Generic[Item]):
    item: Item


class Defaults(BaseModel):
    user: Any = current_user


class Dictionary(TypedDict):
    user: CurrentUser


class Row(NamedTuple):
    user: CurrentUser


@dataclasses.dataclass
class Context:
    """A dependency, written as a dataclass."""

    user: CurrentUser


@dataclasses.dataclass
class Constants:
    """A body whose class keeps a dependency that is no field."""

    note: str = ""
    guard: ClassVar[Any] = current_user


HOLDERS = [Model, Outer, Page[CurrentUser], Defaults, Dictionary, Row, Context, list[Context], Context | None]


@pytest.mark.parametrize("annotation", [*HOLDERS, Annotated[Model, Query()], Annotated[Context, Body()]], ids=str)
async def test_a_dependency_in_a_request_class_stops_the_start(app: FastAPI, annotation: Any):
    """A forgotten `Depends()` around a class of dependencies let the caller send them."""
    declare(app, annotation)
    with pytest.raises(ConfigurationError, match=r"contains Require\(\.\.\.\) in `.*Annotated\[\w+.*, Depends\(\)\]"):
        await start(app)


class Note(BaseModel):
    author: User
    parent: "Note | None" = None


async def test_dependency_classes_work_inside_depends(app: FastAPI):
    """Classes of dependencies work inside depends and plain models as bodies."""

    @app.post("/note")
    async def note(note: Note, constants: Constants, value: JsonValue) -> None: ...

    for number, holder in enumerate((Model, Context)):
        app.get(f"/{number}")(_taking(Annotated[holder, Depends()]))
    await start(app)
    assert [(await call(app, f"/{number}")).status for number in range(2)] == [401, 401]


def _taking(annotation: Any) -> Any:
    async def endpoint(value: Any) -> None: ...

    endpoint.__annotations__["value"] = annotation
    return endpoint


REFERENCES: dict[str, Any] = {
    "optional": Optional["User"],
    "alias": Optional["CurrentUser"],
    "list": list["User"],
    "annotated": Annotated["User", "the caller"],
    "missing": Optional["Missing"],  # noqa: F821 - as if only type checkers import it
    "constraints": Either,
}


@pytest.mark.parametrize("annotation", REFERENCES.values(), ids=REFERENCES)
async def test_a_reference_inside_an_annotation_is_followed(app: FastAPI, annotation: Any):
    """FastAPI does not resolve `Optional["CurrentUser"]`: the route answered any caller, with None."""
    declare(app, annotation, value=None)
    with pytest.raises(ConfigurationError, match=r"parameter `value` (is a|has)"):
        await start(app)


async def test_an_alias_that_names_a_body_passes(app: FastAPI):
    declare(app, TypeAliasType("Sent", Annotated[User, Body()]))
    await start(app)


async def test_a_user_as_a_default_value_stops_the_start(app: FastAPI):
    declare(app, Any, value=User(id="dev"))
    with pytest.raises(ConfigurationError, match=r"parameter `value` has a User as its default value"):
        await start(app)


@pytest.mark.parametrize("dependency", [optional_user, IdentifyUser(allow_anonymous=True)], ids=repr)
@pytest.mark.parametrize("websocket", [False, True])
async def test_an_optional_user_typed_as_user_stops_the_start(app: FastAPI, dependency: Any, websocket: bool):
    """A type checker accepts it, and the route answered any caller."""
    declare_at = app.websocket if websocket else app.get
    declare_at("/it")(_taking(Annotated[User, Depends(dependency)]))
    with pytest.raises(ConfigurationError, match=r"`value` is a User, but IdentifyUser.* None .*OptionalUser"):
        await start(app)


class Raising(IdentifyUser):
    """A subclass that gives no None."""

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
        """Raise if there is no user."""
        user = await super().__call__(connection, scopes)
        if user is None:
            raise AuthError("authentication_required")
        return user


async def test_an_optional_user_that_cannot_be_missed_passes(app: FastAPI):
    passing = (OptionalUser, Annotated[Any, Depends(optional_user)], Annotated[User, Depends(Raising())])
    for number, annotation in enumerate(passing):
        app.get(f"/{number}")(_taking(annotation))
    await start(app)


class Synchronous(Require):
    """It forgets that FastAPI does not await what a plain function returns."""

    def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> Coroutine[Any, Any, User]:
        """Return a coroutine."""
        return super().__call__(connection, scopes)


async def test_a_subclass_that_is_not_asynchronous_stops_the_start(app: FastAPI):
    app.get("/it", dependencies=[Depends(Synchronous())])(lambda: None)
    with pytest.raises(ConfigurationError, match=r"Synchronous.__call__ is not async.*async def __call__"):
        await start(app)


async def test_a_wrapped_dependency_is_known(app: FastAPI):
    wrappers: list[Any] = [functools.partial(current_user), current_user.__call__]
    for number, wrapped in enumerate(wrappers):
        app.get(f"/{number}", dependencies=[Depends(wrapped)])(lambda: None)
    app.get("/open", dependencies=[Depends(current_user.describe)])(lambda: None)
    assert [route for route in unguarded_routes(app) if route[5:] in ("0", "1", "open")] == ["GET /open"]
    app.get("/bad", dependencies=[Depends(functools.partial(Require(team_member="team_id")))])(lambda: None)
    with pytest.raises(ConfigurationError, match="'team_id'"):
        await start(app)
