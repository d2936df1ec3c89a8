"""Where dependencies stand: scopes, mounted apps, several stacks, whole apps, WebSockets, event loops."""

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket

from fastapi_stackauth import (
    AuthError,
    ConfigurationError,
    CurrentUser,
    LoadProfile,
    OptionalUser,
    Require,
    StackAuth,
    User,
    current_user,
    optional_user,
)
from tests.dependencies.helpers import TESTER, Preferences, ask_app, protect
from tests.support.asgi import bearer, call, connect
from tests.support.forge import BASE, SUBJECT, Signer
from tests.support.world import World

# --- scopes, sub-apps, several stacks, app-wide ----------------------------------------------------------


@pytest.mark.parametrize("dependency", [current_user, optional_user, Require(live=True), LoadProfile(Preferences)])
async def test_scopes_are_refused_and_never_ignored(app: FastAPI, signer: Signer, dependency: Any):
    @app.get("/scoped")
    async def scoped_route(user: Annotated[Any, Security(dependency, scopes=["posts:write"])]) -> None: ...

    with pytest.raises(ConfigurationError, match="scopes"):
        await call(app, "/scoped", [bearer(signer.token())])


async def test_a_mounted_app_needs_an_install_of_its_own(world: World, app: FastAPI, signer: Signer):
    child = FastAPI()
    protect(child, current_user)
    app.mount("/child", child)
    with pytest.raises(ConfigurationError, match="mounted FastAPI app"):
        await call(app, "/child/it", [bearer(signer.token())])
    grown_up = FastAPI()
    protect(grown_up, current_user)
    world.stack.install(grown_up)
    app.mount("/grown-up", grown_up)
    assert await ask_app(app, bearer(signer.token()), path="/grown-up/it") == SUBJECT
    assert await ask_app(app, path="/grown-up/it") == "401 authentication_required"


async def test_an_error_has_the_format_of_its_stack(app: FastAPI):
    """An error is answered in the form of the stack that refused."""
    other = StackAuth(project_id="other", base_url=BASE, error_format="detail", jwks={"keys": [Signer("other").jwk]})
    other.install(app, default=False)
    protect(app, other.current_user, "/theirs")
    protect(app, current_user, "/ours")
    assert set((await call(app, "/theirs")).json) == {"detail"}
    assert (await call(app, "/ours")).json["code"] == "authentication_required"


async def test_two_stacks_in_one_app_each_take_their_own_tokens(world: World, app: FastAPI, signer: Signer):
    other_signer = Signer("other-key")
    other = StackAuth(project_id="other", base_url=BASE, jwks={"keys": [other_signer.jwk]})
    other.install(app, default=False)
    other.verifier._clock = world.clock
    theirs: dict[str, Any] = {
        "iss": f"{BASE}/api/v1/projects/other",
        "aud": "other",
        "project_id": "other",
        "sub": "them",
    }
    protect(app, other.current_user, "/theirs")
    protect(app, other.optional_user, "/maybe-theirs")

    @app.get("/both")
    async def both(
        maybe: OptionalUser,
        them: Annotated[User | None, Depends(other.optional_user)],
        again: OptionalUser,
    ) -> str:
        return f"{maybe and maybe.id} {them and them.id}"

    mine, their = bearer(signer.token()), bearer(other_signer.token(**theirs))
    assert await ask_app(app, their, path="/theirs") == "them"
    assert await ask_app(app, mine, path="/theirs") == "401 token_key_unknown"
    assert await ask_app(app, their, path="/me") == "401 token_key_unknown"
    misses = world.verifier.stats.misses
    assert await ask_app(app, their, path="/both") == "None them"
    assert world.verifier.stats.misses == misses + 1
    assert other.current_user == other.current_user != current_user

    app.dependency_overrides[other.current_user] = lambda: TESTER
    assert await ask_app(app, path="/theirs") == "tester"
    assert await ask_app(app, path="/maybe-theirs") == "tester"
    assert await ask_app(app, path="/me") == "401 authentication_required"


async def test_an_app_wide_dependency_leaves_sign_in_routes_open(signer: Signer):
    """The recipe of docs/verification.md: the demand stands on a router, the sign-in routes beside it."""
    world = World.make(signer)
    app = FastAPI()
    world.stack.install(app)
    protected = APIRouter(dependencies=[Depends(current_user)])

    @protected.get("/notes")
    async def notes() -> str:
        return "mine"

    app.include_router(protected)
    app.include_router(world.stack.router(delivery="body"), prefix="/auth")
    assert await ask_app(app, path="/notes") == "401 authentication_required"
    assert await ask_app(app, bearer(signer.token()), path="/notes") == "mine"
    assert (await call(app, "/auth/password/sign-in", method="POST")).status in (400, 422)


async def test_a_dependency_of_the_app_itself_covers_every_route(signer: Signer):
    """And so the sign-in routes as well: whoever wants that recipe mounts them on an app of their own."""
    world = World.make(signer)
    app = FastAPI(dependencies=[Depends(current_user)])
    world.stack.install(app)
    app.include_router(world.stack.router(delivery="body"), prefix="/closed")
    open_app = FastAPI()
    world.stack.install(open_app)
    open_app.include_router(world.stack.router(delivery="body"))
    app.mount("/auth", open_app)

    @app.get("/notes")
    async def notes() -> str:
        return "mine"

    assert await ask_app(app, path="/notes") == "401 authentication_required"
    assert (await call(app, "/closed/password/sign-in", method="POST")).status == 401
    assert (await call(app, "/auth/password/sign-in", method="POST")).status in (400, 422)


# --- WebSockets over bare ASGI ---------------------------------------------------------------------------


@pytest.fixture
def sockets(app: FastAPI) -> FastAPI:
    @app.websocket("/ws")
    async def ws(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        await websocket.send_text(user.id)
        raise AuthError("session_revoked")

    return app


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "authentication_required"),
        ("junk", 401, "token_malformed"),
        ("anonymous", 403, "anonymous_not_allowed"),
    ],
)
async def test_a_websocket_gets_a_denial_response_if_possible(
    sockets: FastAPI, signer: Signer, token: str | None, status: int, code: str
):
    """A websocket is refused with a response where the server can."""
    headers = [] if token is None else [bearer("a.b.c" if token == "junk" else signer.token(token))]
    answer = await connect(sockets, headers=headers)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert answer.closed_with is None
    closed = await connect(sockets, headers=headers, denial=False)
    assert [message["type"] for message in closed.messages] == ["websocket.close"]
    assert closed.closed_with == 1008


async def test_an_accepted_websocket_is_closed_with_1008(sockets: FastAPI, signer: Signer):
    answer = await connect(sockets, headers=[bearer(signer.token())])
    assert [message["type"] for message in answer.messages] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert (answer.messages[1]["text"], answer.closed_with) == (SUBJECT, 1008)


async def test_an_override_reaches_websockets(sockets: FastAPI):
    sockets.dependency_overrides[current_user] = lambda: TESTER
    answer = await connect(sockets)
    assert answer.messages[1]["text"] == "tester"


# --- loops -----------------------------------------------------------------------------------------------


def test_an_app_may_be_called_from_loops_that_come_and_go(signer: Signer):
    world = World.make(signer)
    app = world.app()

    async def once() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return (await client.get("/me", headers={"authorization": f"Bearer {signer.token()}"})).json()["id"]

    assert [asyncio.run(once()) for _ in range(3)] == [SUBJECT] * 3
