"""What a request may cost, as counts: they say the same on every machine, however busy. Times are `make bench`'s."""

import sys
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Annotated, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends, FastAPI, HTTPException, Request

import fastapi_stackauth
from fastapi_stackauth import CurrentUser, OptionalUser, Require, User
from tests.support.asgi import Headers, RawAnswer, bearer, call
from tests.support.forge import SUBJECT, Signer
from tests.support.world import World

OURS = str(Path(fastapi_stackauth.__file__).parent)
STORAGE = str(Path(OURS, "runtime", "storage.py"))
Guarded = Annotated[User, Depends(Require(permission="notes:read"))]


@dataclass
class Work:
    """What was done while something ran.

    Attributes:
        calls: of Python functions, in all.
        ours: of functions of this package, by code.
        signatures: ECDSA checks.
        digests: SHA-256 digests.
    """

    calls: int = 0
    ours: Counter[CodeType] = field(default_factory=Counter)
    signatures: int = 0
    digests: int = 0

    @property
    def storage(self) -> int:
        """Calls of the storage that workers share."""
        return sum(count for code, count in self.ours.items() if code.co_filename == STORAGE)

    def note(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take down one event of `sys.setprofile`."""
        if event == "call":
            self.calls += 1
            if frame.f_code.co_filename.startswith(OURS):
                self.ours[frame.f_code] += 1
        elif event == "c_call":
            self.signatures += argument.__name__ == "verify" and isinstance(
                argument.__self__, ec.EllipticCurvePublicKey
            )
            self.digests += argument.__name__ == "openssl_sha256"


async def measure_work(doing: Awaitable[RawAnswer], status: int = 200) -> Work:
    """What a request takes, whose answer has this status."""
    work = Work()
    sys.setprofile(work.note)
    try:
        answer = await doing
    finally:
        sys.setprofile(None)
    assert answer.status == status
    return work


@pytest.fixture
def app(world: World) -> FastAPI:
    app = world.app()

    @app.get("/permitted")
    async def permitted_route(user: Guarded) -> str:
        return user.id

    @app.get("/twice")
    async def twice(user: CurrentUser, same: OptionalUser) -> str:
        return user.id

    @app.get("/bare")
    async def bare(user: Annotated[str, Depends(_bare)]) -> str:
        return user

    return app


async def _bare(request: Request) -> str:
    if "authorization" not in request.headers:
        raise HTTPException(401)
    return SUBJECT


@pytest.fixture
def headers(signer: Signer) -> Headers:
    return [bearer(signer.token())]


async def test_a_token_seen_before_costs_one_digest(world: World, app: FastAPI, headers: Headers):
    """A token seen before costs one digest and a handful of calls."""
    await call(app, "/me", headers)
    asked = len(world.server.requests)
    work = await measure_work(call(app, "/me", headers))
    assert (work.digests, work.signatures, work.storage) == (1, 0, 0)
    assert len(world.server.requests) == asked
    assert work.ours.total() <= 22


async def test_it_costs_little_more_than_any_dependency_does(app: FastAPI, headers: Headers):
    for path in ("/hello", "/bare"):
        await call(app, path, headers)
    bare = await measure_work(call(app, "/bare", headers))
    ours = await measure_work(call(app, "/hello", headers))
    assert ours.calls <= bare.calls * 1.25


async def test_a_token_never_seen_costs_one_signature_check(world: World, app: FastAPI, signer: Signer):
    await call(app, "/me", [bearer(signer.token())])
    asked = len(world.server.requests)
    work = await measure_work(call(app, "/me", [bearer(signer.token(jti="another"))]))
    assert (work.digests, work.signatures, work.storage) == (1, 1, 0)
    assert len(world.server.requests) == asked
    assert work.ours.total() <= 70


async def test_the_first_token_of_all_costs_one_fetch_of_keys(world: World, app: FastAPI, headers: Headers):
    await call(app, "/me", headers)
    assert (world.server.key_fetches, len(world.server.requests)) == (1, 1)


async def test_a_forged_token_costs_one_signature_check_each_time(app: FastAPI, signer: Signer, stranger: Signer):
    await call(app, "/me", [bearer(signer.token())])
    for _ in range(2):
        work = await measure_work(call(app, "/me", [bearer(stranger.token())]), 401)
        assert (work.signatures, work.storage) == (1, 0)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.AA"])
async def test_what_is_no_token_costs_no_signature_check(world: World, app: FastAPI, token: str):
    work = await measure_work(call(app, "/me", [bearer(token)]), 401)
    assert (work.signatures, work.storage, len(world.server.requests)) == (0, 0, 0)


async def test_nobody_costs_nothing(world: World, app: FastAPI):
    work = await measure_work(call(app, "/hello"))
    assert (work.digests, work.signatures, work.storage, len(world.server.requests)) == (0, 0, 0, 0)


async def test_several_dependencies_of_one_request_verify_once(app: FastAPI, headers: Headers):
    await call(app, "/twice", headers)
    assert (await measure_work(call(app, "/twice", headers))).digests == 1


async def test_what_is_known_of_a_permission_costs_no_call(world: World, app: FastAPI, headers: Headers):
    await call(app, "/permitted", headers)
    asked = len(world.server.requests)
    work = await measure_work(call(app, "/permitted", headers), 403)  # the fake server grants nothing
    assert (work.digests, work.signatures, work.storage, len(world.server.requests)) == (1, 0, 0, asked)


@pytest.mark.parametrize("known", [10, 1_000])
async def test_the_work_does_not_grow_with_what_is_known(world: World, app: FastAPI, signer: Signer, known: int):
    await world.verifier.revocations.revoke_sessions(f"session-{number}" for number in range(known))
    token = signer.token()
    for number in range(known // 10):
        await world.verify(signer.token(jti=str(number)))
    await call(app, "/me", [bearer(token)])
    assert (
        await measure_work(call(app, "/me", [bearer(token)]))
    ).ours.total() <= 28  # four of them for the list of what is revoked
