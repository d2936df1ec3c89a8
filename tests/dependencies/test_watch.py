"""A long-lived connection ends when its token expires or its session is revoked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from fastapi_stackauth import (
    AuthError,
    ConfigurationError,
    Require,
    SessionWatch,
    User,
    VerificationUnavailable,
    WatchSession,
    current_user,
)
from fastapi_stackauth.verification.live import SharedCheck
from tests.dependencies.helpers import SOON, open_watch
from tests.support.asgi import bearer, call, connect
from tests.support.forge import LIFETIME, NOW, SUBJECT, Signer
from tests.support.world import World, turns, until

OTHER_SESSION = "5c0ffee0-ad34-4570-a115-4390e8446d37"


async def test_the_body_is_cancelled_when_the_token_expires(world: World, app: FastAPI, signer: Signer):
    watch = await open_watch(app, signer.token())
    cancelled = False
    with pytest.raises(AuthError) as caught:  # noqa: PT012 - what the body does is the matter
        async with watch:
            world.clock.now = NOW + LIFETIME + 5
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise
    assert cancelled
    assert caught.value.code == "token_expired"
    assert watch.ended is caught.value
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_expiry_alone_needs_no_call_of_the_auth_server(world: World, app: FastAPI, signer: Signer):
    world.clock.now = NOW + LIFETIME + 4.999
    watch = await open_watch(app, signer.token(), WatchSession(every=None))
    world.clock.now = NOW + LIFETIME + 4.9999
    with pytest.raises(AuthError) as caught:  # noqa: PT012 - what the body does is the matter
        async with watch:
            await asyncio.sleep(0)
            world.clock.now += 1
            await asyncio.Event().wait()
    assert caught.value.code == "token_expired"
    assert world.server.count("/sessions") == 0


async def test_the_body_is_cancelled_when_the_session_is_revoked(world: World, app: FastAPI, signer: Signer):
    watch = await open_watch(app, signer.token())
    with pytest.raises(AuthError) as caught:  # noqa: PT012 - what the body does is the matter
        async with watch:
            await until(lambda: world.server.count("/sessions") >= 2)
            world.server.sessions = []
            await asyncio.Event().wait()
    assert caught.value.code == "session_revoked"


@pytest.mark.parametrize("trouble", ["503", "keys", "text"])
async def test_an_auth_server_in_trouble_ends_nothing(world: World, app: FastAPI, signer: Signer, trouble: str):
    watch = await open_watch(app, signer.token())
    world.server.me = trouble
    async with watch:
        await until(lambda: world.server.count("/sessions") >= 1)
        await turns(20)
    assert watch.ended is None


async def test_a_check_that_breaks_ends_the_connection(app: FastAPI, signer: Signer):
    """Going on unwatched would be worse."""

    class Broken:
        async def check(self, token: str, user: User) -> None:
            raise LookupError("a bug")

    with pytest.raises(LookupError):
        async with await open_watch(app, signer.token(), WatchSession(every=SOON, check=Broken())):
            await asyncio.Event().wait()


async def test_a_check_of_ones_own_is_asked_instead_of_the_auth_server(world: World, app: FastAPI, signer: Signer):
    asked: list[tuple[str, str]] = []

    class Revocations:
        async def check(self, token: str, user: User) -> None:
            asked.append((token, user.id))
            if len(asked) == 1:
                raise VerificationUnavailable
            raise AuthError("session_revoked")

    token = signer.token()
    with pytest.raises(AuthError):
        async with await open_watch(app, token, WatchSession(every=SOON, check=Revocations())):
            await asyncio.Event().wait()
    assert asked == [(token, SUBJECT)] * 2
    assert world.server.count("/sessions") == 0


class Asked:
    """A check that notes when it was asked, and by whose token; it raises `fails`, if need be for one token alone."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.tokens: list[str] = []
        self.fails: Exception | None = None
        self.failing_token = ""

    async def check(self, token: str, user: User) -> None:
        self.times.append(asyncio.get_running_loop().time())
        self.tokens.append(token)
        await asyncio.sleep(0)
        if self.fails is not None and self.failing_token in ("", token):
            raise self.fails


async def wait_for_end(watch: SessionWatch) -> str:
    """Keep a watch open, and return the code of the error that ends it."""
    with pytest.raises(AuthError) as caught:
        async with watch:
            await asyncio.Event().wait()
    return str(caught.value.code)


async def test_watches_of_one_session_share_one_question(app: FastAPI, signer: Signer):
    """Also if the one that asked before has left, and if their tokens differ."""
    asked = Asked()
    watched = WatchSession(every=SOON, check=asked)
    tokens = [signer.token(jti=str(number)) for number in range(5)]
    async with AsyncExitStack() as open_ones:
        first = await open_watch(app, tokens[0], watched)
        async with first:
            for token in tokens[1:]:
                await open_ones.enter_async_context(await open_watch(app, token, watched))
            await until(lambda: len(asked.times) >= 3)
            await turns(5)  # the question is answered
        await until(lambda: len(asked.times) >= 6)
        assert min(later - sooner for sooner, later in pairwise(asked.times)) >= SOON


async def test_a_revoked_session_ends_all_of_its_watches(app: FastAPI, signer: Signer):
    """One question for all of them; a watch of another session goes on."""
    asked = Asked()
    watched = WatchSession(every=SOON, check=asked)
    asked.fails = AuthError("session_revoked")
    watches = [await open_watch(app, signer.token(), watched) for _ in range(5)]
    other = await open_watch(app, signer.token(refresh_token_id=OTHER_SESSION), WatchSession(every=60, check=asked))

    async with other:
        assert await asyncio.gather(*map(wait_for_end, watches)) == ["session_revoked"] * 5
        assert other.ended is None
    assert len(asked.times) == 1


async def test_a_rejected_token_ends_its_own_watch_alone(app: FastAPI, signer: Signer):
    """The auth server may take one token of a session for expired and not another one."""
    asked = Asked()
    watched = WatchSession(every=SOON, check=asked)
    asked.fails = AuthError("token_expired")
    asked.failing_token, good = signer.token(jti="1"), signer.token(jti="2")
    async with await open_watch(app, good, watched) as other:
        assert await wait_for_end(await open_watch(app, asked.failing_token, watched)) == "token_expired"
        until_asked = len(asked.times) + 2
        await until(lambda: len(asked.times) >= until_asked)
        assert other.ended is None


async def test_in_an_outage_one_question_is_asked_for_all(app: FastAPI, signer: Signer):
    asked = Asked()
    watched = WatchSession(every=SOON, check=asked)
    asked.fails = VerificationUnavailable()
    async with AsyncExitStack() as open_ones:
        watches = [await open_watch(app, signer.token(), watched) for _ in range(5)]
        for watch in watches:
            await open_ones.enter_async_context(watch)
        await until(lambda: len(asked.times) >= 4)
        assert min(later - sooner for sooner, later in pairwise(asked.times)) >= SOON
    assert [watch.ended for watch in watches] == [None] * 5


async def test_first_questions_are_spread_over_the_interval():
    """Connections that open together, after a restart of the app, do not ask together."""
    dues = sorted(SharedCheck(100.0).seconds_left() for _ in range(200))
    assert dues[0] < 20 < 80 < dues[-1] <= 100


async def test_a_newer_token_of_another_session_is_checked_as_that(app: FastAPI, signer: Signer):
    asked = Asked()
    watched = WatchSession(every=SOON, check=asked)
    newer = signer.token(refresh_token_id=OTHER_SESSION)
    async with await open_watch(app, signer.token(), watched) as watch:
        await watch.refresh(newer)
        await until(lambda: asked.tokens[-1:] == [newer])


async def test_whoever_learns_of_a_revocation_ends_it_at_once(app: FastAPI, signer: Signer):
    watch = await open_watch(app, signer.token(), WatchSession(every=None))
    asyncio.get_running_loop().call_soon(watch.end)
    with pytest.raises(AuthError) as caught:
        async with watch:
            await asyncio.Event().wait()
    watch.end(AuthError("user_deleted"))
    assert caught.value.code == "session_revoked"
    assert watch.ended is caught.value
    with pytest.raises(AuthError):
        async with watch:
            pytest.fail("it has ended")


async def test_what_the_body_does_by_itself_passes_through(app: FastAPI, signer: Signer):
    watch = await open_watch(app, signer.token())
    async with watch:
        pass
    with pytest.raises(TimeoutError, match="mine"):
        async with watch:
            raise TimeoutError("mine")

    async def body() -> None:
        async with watch:
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await turns(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watch.ended is None


async def test_nothing_goes_on_watching_afterwards(app: FastAPI, signer: Signer):
    before = asyncio.all_tasks()
    async with await open_watch(app, signer.token()):
        assert len(asyncio.all_tasks() - before) == 1
    await turns(3)
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()


async def test_a_newer_token_of_the_same_user_keeps_it_alive(world: World, app: FastAPI, signer: Signer):
    async with await open_watch(app, signer.token()) as watch:
        world.clock.now = NOW + LIFETIME
        await watch.refresh(signer.token(iat=NOW + LIFETIME, exp=NOW + 2 * LIFETIME))
        world.clock.now = NOW + LIFETIME + 60
        before = world.server.count("/sessions")
        await until(lambda: world.server.count("/sessions") > before + 2)
    assert watch.ended is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sub": "another"}, "credentials_conflict"),
        ({"kind": "restricted"}, "restricted_not_allowed"),
        ({"iss": "https://evil.test"}, "token_issuer_not_allowed"),
    ],
)
async def test_no_other_token_renews_it(app: FastAPI, signer: Signer, changes: dict[str, Any], code: str):
    watch = await open_watch(app, signer.token())
    user = watch.user
    with pytest.raises(AuthError) as caught:
        await watch.refresh(signer.token(**changes))
    assert caught.value.code == code
    assert watch.user is user


@pytest.mark.parametrize("every", [0, -1])
def test_an_interval_is_positive(every: float):
    with pytest.raises(ConfigurationError):
        WatchSession(every=every)


# --- streams ---------------------------------------------------------------------------------------------


async def numbers(closed: list[str]) -> AsyncIterator[str]:
    try:
        for number in range(4):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0)
        await asyncio.Event().wait()
    finally:
        closed.append("closed")


@pytest.mark.parametrize("why", ["token_expired", "session_revoked", "renewed elsewhere"])
async def test_a_stream_ends_with_its_session(world: World, app: FastAPI, signer: Signer, why: str):
    closed: list[str] = []
    watches: list[SessionWatch] = []

    @app.get("/events")
    async def events(watch: Annotated[SessionWatch, Depends(WatchSession(every=SOON))]) -> StreamingResponse:
        watches.append(watch)
        return StreamingResponse(watch.stream(numbers(closed)), media_type="text/event-stream")

    answering = asyncio.create_task(call(app, "/events", [bearer(signer.token())]))
    await until(lambda: world.server.count("/sessions"))
    if why == "token_expired":
        world.clock.now = NOW + LIFETIME + 5
    elif why == "session_revoked":
        world.server.sessions = []
    else:
        watches[0].end()
    answer = await answering
    assert answer.status == 200
    assert answer.body.startswith(b"data: 0\n\ndata: 1\n\n")
    assert answer.messages[-1].get("more_body", False) is False
    assert closed == ["closed"]


async def test_a_finished_or_broken_stream_behaves_as_without(app: FastAPI, signer: Signer):
    """A stream that is over or breaks is as it would be without."""

    async def three() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def broken() -> AsyncIterator[int]:
        yield 1
        raise AuthError("email_not_verified")

    watch = await open_watch(app, signer.token())
    assert [item async for item in watch.stream(three())] == [0, 1, 2]
    with pytest.raises(AuthError) as caught:
        async for _ in watch.stream(broken()):
            pass
    assert caught.value.code == "email_not_verified"


async def test_a_client_that_leaves_a_stream_leaves_nothing_behind(world: World, app: FastAPI, signer: Signer):
    closed: list[str] = []

    @app.get("/events")
    async def events(watch: Annotated[SessionWatch, Depends(WatchSession(every=SOON))]) -> StreamingResponse:
        return StreamingResponse(watch.stream(numbers(closed)), media_type="text/event-stream")

    before = asyncio.all_tasks()
    answering = asyncio.create_task(call(app, "/events", [bearer(signer.token())]))
    await until(lambda: world.server.count("/sessions"))
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    await until(lambda: closed)
    await until(lambda: not {task for task in asyncio.all_tasks() - before if not task.done()})


# --- as a dependency -------------------------------------------------------------------------------------


async def test_an_accepted_websocket_is_closed_with_1008(world: World, app: FastAPI, signer: Signer):
    @app.websocket("/ws")
    async def ws(websocket: WebSocket, watch: Annotated[SessionWatch, Depends(WatchSession(every=SOON))]) -> None:
        await websocket.accept()
        async with watch:
            async for text in websocket.iter_text():
                await websocket.send_text(f"{watch.user.id} {text}")

    connecting = asyncio.create_task(connect(app, headers=[bearer(signer.token())]))
    await until(lambda: world.server.count("/sessions"))
    world.server.sessions = []
    answer = await connecting
    assert [message["type"] for message in answer.messages] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert answer.messages[1]["text"] == f"{SUBJECT} hello"
    assert answer.closed_with == 1008


async def test_the_demands_are_those_of_require(app: FastAPI, signer: Signer):
    with pytest.raises(AuthError) as caught:
        await open_watch(app, signer.token("anonymous"))
    assert caught.value.code == "anonymous_not_allowed"
    allowed = WatchSession(require=Require(allow_anonymous=True))
    assert (await open_watch(app, signer.token("anonymous"), allowed)).user.is_anonymous
    with pytest.raises(AuthError) as caught:
        await open_watch(app, None)
    assert caught.value.code == "authentication_required"


async def test_the_user_of_an_override_is_never_checked(world: World, app: FastAPI, signer: Signer):
    """The auth server gets the checks of the other session only, however many there are."""
    token = signer.token()
    other = await open_watch(app, token)
    app.dependency_overrides[current_user] = lambda: User(id="u-1")
    async with other, await open_watch(app, None) as watch:
        await until(lambda: world.server.count("/sessions") >= 5)
    assert watch.user.id == "u-1"
    checks = [headers for path, _, headers in world.server.requests if path.endswith("/sessions")]
    assert {headers.get("x-stack-access-token") for headers in checks} == {token}
