"""Wrong arguments of a dependency raise when it is constructed; two dependencies are equal only if they do the same."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from fastapi_stackauth import (
    ConfigurationError,
    LoadProfile,
    Require,
    RequireAccessToken,
    RequireTeam,
    StackAuth,
    User,
    WatchSession,
    api_key_user,
    optional_user,
)
from fastapi_stackauth.errors import AuthError
from tests.support.asgi import call

RESTING: list[Callable[..., Any]] = [RequireTeam, LoadProfile, RequireAccessToken, WatchSession]


@pytest.mark.parametrize("make", RESTING)
@pytest.mark.parametrize("require", [optional_user, api_key_user, Require, RequireTeam(), None], ids=repr)
def test_what_rests_on_a_user_takes_a_require_alone(make: Callable[..., Any], require: Any):
    """`RequireTeam(require=optional_user)` gave any team to a caller without a credential."""
    with pytest.raises(ConfigurationError, match=r"must be an instance of Require; got .*Write \w+\(require=Require\("):
        make(require=require)


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (Require, {"max_age": timedelta(0)}, "longer than zero"),
    (Require, {"max_age": timedelta(-1)}, "longer than zero"),
    (Require, {"max_age": 300}, "must be a timedelta.*got 300"),
    (Require, {"permission": ["a", "b"]}, "must be the id of a permission"),
    (Require, {"team_member": True}, "is not a valid source"),
    (RequireTeam, {"team": Require()}, "is not a valid source"),
    (RequireTeam, {"team": None}, "is not a valid source"),
    (LoadProfile, {"metadata": Require()}, r"pydantic model; got Require.*LoadProfile\(require="),
    (LoadProfile, {"metadata": dict}, "pydantic model"),
    (WatchSession, {"every": "60"}, "positive number"),
]


@pytest.mark.parametrize(("make", "arguments", "text"), WRONG)
def test_a_wrong_argument_says_what_to_do(make: Any, arguments: dict[str, Any], text: str):
    """A zero `max_age` required nothing; the others were a 500 or an error about the library's insides."""
    with pytest.raises(ConfigurationError, match=text):
        make(**arguments)


class RequireRole(Require):
    """A subclass of an app's own that keeps what it requires beside the fields."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
        """Accept the role "viewer" only."""
        if self.role != "viewer":
            raise AuthError("anonymous_not_allowed")
        return User(id="ada")


async def test_a_weaker_dependency_replaces_no_stronger_one():
    """A weaker dependency of the same class does not stand in for a stronger one."""
    app = FastAPI()
    StackAuth(project_id="p").install(app)

    @app.get("/it", dependencies=[Depends(RequireRole("viewer"))])
    async def it(user: Annotated[User, Depends(RequireRole("admin"))]) -> None: ...

    assert (await call(app, "/it")).status == 403


@pytest.mark.parametrize("make", RESTING)
async def test_a_tokenless_subclass_user_opens_no_token_routes(make: Callable[..., Any]):
    """`RequireTeam` gave any team to a user that a subclass of `Require` returned without a token."""
    app = FastAPI()
    StackAuth(project_id="p").install(app)

    @app.get("/{team_id}", dependencies=[Depends(make(require=RequireRole("viewer")))])
    async def it(team_id: str) -> None: ...

    assert (await call(app, "/any")).status == 401


def test_dependencies_that_require_the_same_are_equal():
    first, second = Require(permission="a"), Require(permission="a")
    app = FastAPI()
    app.get("/", dependencies=[Depends(first)])(lambda: None)
    assert app.openapi()  # which the instance keeps a part of
    assert (first, hash(first), RequireRole("a")) == (second, hash(second), RequireRole("a"))
    assert first != Require(permission="b")
