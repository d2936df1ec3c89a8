"""What a test puts in place of `current_user` reaches everything that is derived from it."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.requests import HTTPConnection

from fastapi_stackauth import (
    AccessToken,
    AuthError,
    ConfigurationError,
    CurrentProfile,
    IdentifyUser,
    LoadProfile,
    Profile,
    Require,
    TokenKind,
    User,
    current_user,
)
from tests.dependencies.helpers import TESTER, Preferences, ask_app, protect
from tests.support.asgi import call
from tests.support.world import World

# --- overrides -------------------------------------------------------------------------------------------


def no_arguments() -> User:
    return TESTER


async def no_arguments_async() -> User:
    return TESTER


def takes_request(request: Request) -> User:
    assert request.method == "GET"
    return TESTER


async def takes_connection(connection: HTTPConnection) -> User:
    assert "headers" in connection.scope
    return TESTER


def takes_whatever_is_called_request(request):
    return TESTER


def postponed_override(request: "Request", limit: int = 3) -> User:
    return TESTER


class CallableObject:
    async def __call__(self) -> User:
        return TESTER


OVERRIDES = [
    no_arguments,
    no_arguments_async,
    takes_request,
    takes_connection,
    takes_whatever_is_called_request,
    postponed_override,
    CallableObject(),
    lambda: TESTER,
    lambda *args, **kwargs: TESTER,
]


@pytest.fixture
def derived_app(app: FastAPI) -> FastAPI:
    """An app with everything that is derived from `current_user`."""
    protect(app, Require(verified_email=True, live=True), "/require")
    protect(app, IdentifyUser(), "/optional")

    @app.get("/profile")
    async def profile(own: CurrentProfile) -> str:
        return own.id

    @app.get("/metadata")
    async def metadata(own: Annotated[Profile[Preferences], Depends(LoadProfile(Preferences))]) -> str:
        return own.id if own.client_metadata.theme == "light" else "?"

    @app.get("/token")
    async def token(secret: AccessToken) -> str:
        return secret.get_secret_value().removeprefix("access-token-of-")

    return app


DERIVED = ("/require", "/optional", "/profile", "/metadata", "/token")


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda override: getattr(override, "__name__", "object"))
async def test_overriding_current_user_reaches_what_derives(world: World, derived_app: FastAPI, override: Any):
    """Overriding current user reaches everything derived from it."""
    derived_app.dependency_overrides[current_user] = override
    for path in DERIVED:
        assert await ask_app(derived_app, path=path) == "tester"
    assert world.server.requests == []


def needs_a_dependency(user: Annotated[str, Depends(lambda: "x")]) -> User:
    return TESTER


def needs_two(request: Request, other: str) -> User:
    return TESTER


def yields() -> Iterator[User]:
    yield TESTER


async def yields_async() -> AsyncIterator[User]:
    yield TESTER


@pytest.mark.parametrize("override", [needs_a_dependency, needs_two, yields, yields_async])
async def test_an_override_of_any_other_signature_says_what_to_do(derived_app: FastAPI, override: Any):
    derived_app.dependency_overrides[current_user] = override
    with pytest.raises(ConfigurationError, match="override_user"):
        await call(derived_app, "/require")


async def test_an_override_that_gives_no_user_says_so(derived_app: FastAPI):
    derived_app.dependency_overrides[current_user] = lambda: {"id": "tester"}
    with pytest.raises(ConfigurationError, match=r"must return a User.*dict"):
        await call(derived_app, "/require")


async def test_an_override_may_return_no_or_a_lesser_user(derived_app: FastAPI):
    """An override may say that nobody or nobody good is calling."""

    def refuse() -> User:
        raise AuthError("token_expired")

    derived_app.dependency_overrides[current_user] = lambda: None
    assert [await ask_app(derived_app, path=path) for path in ("/require", "/optional")] == [
        "401 authentication_required",
        "nobody",
    ]
    derived_app.dependency_overrides[current_user] = refuse
    assert [await ask_app(derived_app, path=path) for path in ("/require", "/optional")] == [
        "401 token_expired",
        "nobody",
    ]


async def test_demands_are_checked_of_an_overriding_user_too(derived_app: FastAPI):
    derived_app.dependency_overrides[current_user] = lambda: User(id="guest", kind=TokenKind.ANONYMOUS)
    assert await ask_app(derived_app, path="/require") == "403 anonymous_not_allowed"
    assert await ask_app(derived_app, path="/optional") == "nobody"


async def test_an_override_may_raise_what_it_likes(derived_app: FastAPI):
    def teapot() -> User:
        raise HTTPException(418)

    derived_app.dependency_overrides[current_user] = teapot
    assert (await call(derived_app, "/require")).status == 418


async def test_require_is_overridden_by_equality(derived_app: FastAPI):
    derived_app.dependency_overrides[Require(live=True, verified_email=True)] = no_arguments
    assert await ask_app(derived_app, path="/require") == "tester"
    assert await ask_app(derived_app, path="/profile") == "401 authentication_required"


def test_require_is_a_value():
    assert Require() == current_user
    assert Require(live=True) == Require(live=True) != Require(verified_email=True)
    assert len({Require(), current_user, Require(live=False), IdentifyUser()}) == 2
    assert Require() != IdentifyUser()
    with pytest.raises(AttributeError):
        current_user.live = True  # type: ignore[misc]  # the very mistake
