"""What is remembered of a verified token: bounded, never past its expiry, gone with its key, and never changed."""

import asyncio
import copy
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, ModuleType
from typing import Any

import httpx
import pytest

from fastapi_stackauth import AuthError, StackAuth, User
from tests.support.asgi import bearer, call
from tests.support.forge import BASE, LIFETIME, NOW, PROJECT, SUBJECT, Signer
from tests.support.server import FakeAuthServer
from tests.support.world import World

NESTED: dict[str, Any] = {"deep": {"list": [1, {"a": [None, True]}], "text": "ü"}, "teams": [["x"]]}


async def test_a_token_seen_before_is_not_checked_again(world: World, signer: Signer):
    token = signer.token()
    first, second = await world.verify(token), await world.verify(token)
    assert first is second
    stats = world.verifier.stats
    assert (stats.hits, stats.misses, stats.fallbacks, stats.fetches) == (1, 1, 0, 1)


async def test_the_least_recently_used_token_goes_first(signer: Signer):
    world = World.make(signer, token_cache_size=2)
    one, two, three = (signer.token(jti=number) for number in range(3))
    for token in (one, two, one, three):  # two is the oldest now
        await world.verify(token)
    assert len(world.verifier) == 2
    hits = world.verifier.stats.hits
    await world.verify(one)
    await world.verify(three)
    assert world.verifier.stats.hits == hits + 2
    await world.verify(two)
    assert world.verifier.stats.hits == hits + 2


async def test_a_cache_of_size_0_remembers_nothing(signer: Signer):
    world = World.make(signer, token_cache_size=0)
    for _ in range(2):
        await world.verify(signer.token())
    assert (len(world.verifier), world.verifier.stats.hits) == (0, 0)


async def test_nothing_is_remembered_past_expiry_plus_leeway(world: World, signer: Signer):
    token = signer.token()
    await world.verify(token)
    world.clock.now = NOW + LIFETIME + 4.9
    await world.verify(token)
    assert world.verifier.stats.hits == 1
    world.clock.now = NOW + LIFETIME + 5
    with pytest.raises(AuthError) as caught:
        await world.verify(token)
    assert caught.value.code == "token_expired"
    assert world.verifier.stats.rejections == {"token_expired": 1}


async def test_a_token_whose_key_left_the_set_is_refused(world: World, signer: Signer):
    token = signer.token(iat=1, exp=2_000_000_000)
    await world.verify(token)
    world.server.signers = [other := Signer("key-2")]
    world.advance(3_601)
    await world.verify(other.token(iat=1, exp=2_000_000_000))  # the set is renewed, and the old token still remembered
    with pytest.raises(AuthError) as caught:
        await world.verify(token)
    assert caught.value.code == "token_key_unknown"


async def test_a_token_whose_key_id_names_another_key_now_is_refused(world: World, signer: Signer):
    token = signer.token(iat=1, exp=2_000_000_000)
    await world.verify(token)
    world.server.signers = [other := Signer(signer.key_id)]
    world.advance(3_601)
    await world.verify(other.token(iat=1, exp=2_000_000_000))
    with pytest.raises(AuthError) as caught:
        await world.verify(token)
    assert caught.value.code == "token_signature_invalid"


async def test_a_renewed_set_with_the_same_key_keeps_what_was_verified(world: World, signer: Signer):
    token = signer.token(iat=1, exp=2_000_000_000)
    await world.verify(token)
    world.server.signers = [Signer("key-2"), signer]
    world.advance(3_601)
    await world.verify(token)
    hits = world.verifier.stats.hits
    await world.verify(token)
    assert world.verifier.stats.hits == hits + 1


def texts_held_by(root: object) -> Iterator[str]:
    """Every text that this object holds, or an object that it holds, and so on."""
    seen, waiting = set[int](), [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type | ModuleType | asyncio.AbstractEventLoop):
            continue
        seen.add(id(each))
        if isinstance(each, str | bytes):
            yield str(each)
        waiting += (each.__closure__ or ()) if isinstance(each, FunctionType) else gc.get_referents(each)


async def test_the_cache_is_keyed_by_a_hash_and_holds_no_token(world: World, signer: Signer):
    token = signer.token()
    await world.verify(token)
    assert len(world.verifier) == 1
    held = list(texts_held_by(world.verifier))
    assert any(SUBJECT in text for text in held)
    assert not any(token.rsplit(".", 1)[1] in text for text in held)


async def test_a_remembered_user_cannot_be_changed(world: World, signer: Signer):
    user = await world.verify(signer.token(**NESTED))
    claims: Any = user.claims
    attempts = [
        lambda: setattr(user, "id", "x"),
        lambda: claims.__setitem__("sub", "x"),
        lambda: claims["deep"].update(a=1),
        lambda: claims["deep"].pop("list"),
        lambda: claims["deep"]["list"].append(1),
        claims["deep"]["list"][1].clear,
        lambda: claims["teams"][0].append("y"),
        lambda: claims["deep"].__ior__({"a": 1}),
        lambda: claims["deep"].setdefault("new", 1),
        lambda: claims["deep"].__delitem__("text"),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, AttributeError, ValueError)):
            attempt()
    assert hash(user) == hash(await world.verify(signer.token(**NESTED)))
    assert copy.deepcopy(user) == user


async def test_a_user_with_nested_claims_is_written_by_an_endpoint(world: World, signer: Signer):
    big: dict[str, Any] = {"big": 10**60, "fraction": 1.5, "tiny": 5e-324}
    token = signer.token(**NESTED, **big)
    for _ in range(2):  # as verified, and as remembered
        answer = await call(world.app(), "/me", [bearer(token)])
        assert answer.status == 200
        claims = answer.json["claims"]
        assert {name: claims[name] for name in NESTED} == NESTED
        assert claims["big"] in (10**60, str(10**60), 1e60)


@pytest.mark.parametrize("depth", [1, 30, 62])
async def test_the_deepest_claims_that_are_accepted_are_written_too(world: World, signer: Signer, depth: int):
    deep: object = 1
    for _ in range(depth):
        deep = {"a": [deep]} if depth < 32 else [deep]
    answer = await call(world.app(), "/me", [bearer(signer.token(deep=deep))])
    assert answer.json["claims"]["deep"] == deep


# --- threads and loops -----------------------------------------------------------------------------------


def test_threads_with_their_own_event_loops_use_one_stack(signer: Signer):
    """Each loop fetches and pools for itself; the keys and the remembered tokens are shared."""
    server = FakeAuthServer(signer)
    stack = StackAuth(project_id=PROJECT, base_url=BASE, transport=httpx.ASGITransport(server), token_cache_size=5)
    start = threading.Barrier(4)

    async def work() -> set[str]:
        users = [await stack.verifier.verify(signer.token(exp=2**40, iat=1, jti=number)) for number in range(50)]
        await stack.client.users.me()
        await stack.aclose()
        return {user.id for user in users}

    def run(_: int) -> set[str]:
        start.wait()
        return asyncio.run(work())

    with ThreadPoolExecutor(4) as pool:
        assert len(set().union(*pool.map(run, range(4)))) == 1
    assert len(stack.verifier) == 5
    assert 1 <= server.key_fetches <= 4


def test_a_cache_of_size_0_survives_threads(signer: Signer):
    world = World.make(signer, token_cache_size=0, jwks={"keys": [signer.jwk]})
    token = signer.token()

    async def work() -> None:
        for _ in range(200):
            await world.verify(token)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(asyncio.run, work()) for _ in range(4)]:
            done.result()


@pytest.mark.parametrize("turn", range(3))
def test_one_stack_serves_loops_that_come_and_go(turn: int, signer: Signer):
    world = World.make(signer)
    for number in range(3):
        world.monotonic.advance(3_601)
        user = asyncio.run(world.verify(signer.token(jti=(turn, number))))
        assert isinstance(user, User)
    assert world.server.key_fetches == 3


# --- one cryptographic backend ---------------------------------------------------------------------------

_PROOF = """
import asyncio, sys
from fastapi_stackauth import StackAuth
from tests.support.forge import BASE, NOW, PROJECT, Signer
signer = Signer()
stack = StackAuth(project_id=PROJECT, base_url=BASE, jwks={"keys": [signer.jwk]})
user = asyncio.run(stack.verifier.verify(signer.token(iat=1, exp=2**40)))
assert user.id
print(sorted(name for name in sys.modules if name.split(".")[0] in ("ecdsa", "rsa", "Crypto", "Cryptodome")))
"""


def test_only_the_cryptography_backend_is_loaded():
    """`ecdsa`, which python-jose brings along, leaks timing; it is installed but never imported."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", _PROOF], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"
