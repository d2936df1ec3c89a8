"""Keys outlive an outage, and no caller can make us ask for them more often than once in a cool-down.

Each test is a row of the table in docs/verification.md; the last test holds the table to that.
"""

import asyncio
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from fastapi_stackauth import VerificationUnavailable
from fastapi_stackauth.errors import StackAuthError
from tests.support.forge import Signer
from tests.support.server import kids
from tests.support.world import World, turns, until

BAD = ["503", "hang", "junk", "empty", "none", "refused"]
DAY = 86_400


async def outcomes(world: World, tokens: Iterable[str]) -> list[str]:
    """What becomes of these tokens, all at once: "user", or the code of the refusal."""
    results = await asyncio.gather(*(world.verify(token) for token in tokens), return_exceptions=True)
    unforeseen = [r for r in results if isinstance(r, BaseException) and not isinstance(r, StackAuthError)]
    assert unforeseen == []
    return [result.code if isinstance(result, StackAuthError) else "user" for result in results]


def strangers(count: int, start: int = 0) -> list[str]:
    """Tokens that look right in all but their key, each of a key id of its own."""
    stranger = Signer()
    return [stranger.token(header={"kid": kid}) for kid in kids(count, start)]


async def test_100_cold_requests_at_once_cause_1_fetch(world: World, signer: Signer):
    tokens = [signer.token(sub=f"user-{number}") for number in range(100)]
    assert await outcomes(world, tokens) == ["user"] * 100
    assert world.server.key_fetches == 1


async def test_random_key_ids_cause_one_fetch_per_cool_down(world: World):
    """1000 random key ids cause at most 1 fetch in each cool down."""
    await world.stack.warm_up()
    assert set(await outcomes(world, strangers(500))) == {"token_key_unknown"}
    for token in strangers(500, start=500):
        assert await outcomes(world, [token]) == ["token_key_unknown"]
    assert world.server.key_fetches == 2  # the warm-up and one
    world.advance(29)
    await outcomes(world, strangers(10))
    assert world.server.key_fetches == 2
    world.advance(1)
    await outcomes(world, strangers(10))
    assert world.server.key_fetches == 3


async def test_1000_random_key_ids_on_a_cold_start_cause_1_fetch(world: World):
    assert set(await outcomes(world, strangers(1_000))) == {"token_key_unknown"}
    assert world.server.key_fetches == 1


async def test_failed_fetches_count_against_the_cool_down_too(world: World):
    world.server.keys = world.server.me = "503"
    for token in strangers(20):
        assert await outcomes(world, [token]) == ["verification_unavailable"]
    assert world.server.key_fetches == 1
    assert world.verifier.stats.failed_fetches == 1


async def test_many_who_warm_up_at_once_cause_one_fetch(world: World):
    await asyncio.gather(*(world.stack.warm_up() for _ in range(20)))
    assert world.server.key_fetches == 1


async def test_a_key_made_right_after_warm_up_is_accepted(world: World):
    await world.stack.warm_up()
    new = Signer("key-2")
    world.server.signers.append(new)
    assert await outcomes(world, [new.token()]) == ["user"]
    assert world.server.key_fetches == 2


async def test_a_key_made_right_after_a_scheduled_renewal_is_accepted(world: World, signer: Signer):
    await world.verify(signer.token())
    world.advance(3_601)
    await world.verify(signer.token(iat=1, exp=2_000_000_000))
    world.server.signers.append(new := Signer("key-2"))
    assert await outcomes(world, [new.token(exp=2_000_000_000)]) == ["user"]
    assert world.server.key_fetches == 3


async def test_two_new_keys_in_a_row_are_accepted(world: World):
    """Two new keys one after the other are both accepted at once."""
    await world.stack.warm_up()
    for key_id in ("key-2", "key-3"):
        world.server.signers.append(new := Signer(key_id))
        assert await outcomes(world, [new.token()]) == ["user"]


async def test_a_key_made_while_a_fetch_was_under_way_is_found(signer: Signer):
    """A fetch that began before the key was published misses it; who joined it asks once more."""
    world = World.make(signer, jwks_timeout=30)
    world.server.keys = "slow"
    warming = asyncio.create_task(world.stack.warm_up())
    await until(lambda: world.server.key_fetches)
    world.server.signers.append(new := Signer("key-2"))
    waiting = asyncio.create_task(outcomes(world, [new.token()]))
    await turns(10)
    world.server.gate.set()
    await warming
    assert await waiting == ["user"]
    assert world.server.key_fetches == 2
    await world.stack.aclose()


@pytest.mark.parametrize("behaviour", BAD)
async def test_a_known_key_is_served_while_the_endpoint_is_down(world: World, signer: Signer, behaviour: str):
    await world.stack.warm_up()
    world.server.keys = behaviour
    world.advance(3_601)
    token = signer.token(iat=1, exp=2_000_000_000)
    for _ in range(3):
        assert await outcomes(world, [token, signer.token(sub="other", exp=2_000_000_000)]) == ["user", "user"]
        world.advance(3_600)
    assert world.verifier.stats.failed_fetches >= 1
    assert world.verifier.stats.stale_serves >= 5
    assert world.server.count("/users/me") == 0


@pytest.mark.parametrize("behaviour", BAD)
async def test_stale_keys_are_dropped_at_the_stale_limit(world: World, signer: Signer, behaviour: str):
    await world.stack.warm_up()
    world.server.keys, world.server.me = behaviour, "503"
    token = signer.token(iat=1, exp=2_000_000_000)
    world.advance(DAY - 1)
    assert await outcomes(world, [token]) == ["user"]
    world.advance(31)
    assert await outcomes(world, [token]) == ["verification_unavailable"]


@pytest.mark.parametrize("behaviour", BAD)
async def test_the_first_success_heals(world: World, signer: Signer, behaviour: str):
    world.server.keys, world.server.me = behaviour, "503"
    assert await outcomes(world, [signer.token()]) == ["verification_unavailable"]
    world.server.keys = "ok"
    world.advance(30)
    assert await outcomes(world, [signer.token()]) == ["user"]
    assert not world.verifier.keys.failing
    assert await outcomes(world, strangers(1)) == ["token_key_unknown"]


async def test_stale_keys_heal_in_the_background_too(world: World, signer: Signer):
    await world.stack.warm_up()
    world.server.keys = "503"
    world.advance(3_601)
    token = signer.token(iat=1, exp=2_000_000_000)
    await world.verify(token)
    world.server.keys = "ok"
    world.advance(30)
    await world.verify(token)
    await until(lambda: not world.verifier.keys.failing)
    before = world.server.key_fetches
    world.advance(60)
    await world.verify(token)
    assert world.server.key_fetches == before


async def test_a_renewal_ahead_of_time_makes_nobody_wait(world: World, signer: Signer):
    await world.stack.warm_up()
    world.server.keys = "slow"
    world.advance(3_600 * 0.8)
    token = signer.token(iat=1, exp=2_000_000_000)
    assert await outcomes(world, [token]) == ["user"]  # with the gate still closed
    world.server.gate.set()
    await until(lambda: world.verifier.stats.fetches == 2)


async def test_a_cancelled_waiter_harms_no_other(signer: Signer):
    world = World.make(signer, jwks_timeout=30)
    world.server.keys = "slow"
    waiters = [asyncio.create_task(world.verify(signer.token(sub=f"user-{n}"))) for n in range(10)]
    await until(lambda: world.server.key_fetches)
    for cancelled in waiters[::2]:  # the first among them, who began the fetch
        cancelled.cancel()
    await asyncio.sleep(0)
    world.server.gate.set()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [isinstance(r, asyncio.CancelledError) for r in results] == [True, False] * 5
    assert [r.id for r in results[1::2] if not isinstance(r, BaseException)] == [f"user-{n}" for n in range(1, 10, 2)]
    assert world.server.key_fetches == 1
    await world.stack.aclose()


async def test_a_slow_key_endpoint_never_stalls_the_event_loop(signer: Signer):
    """While the endpoint takes its time, another task gets as many turns as it wants."""
    world = World.make(signer, jwks_timeout=30)
    world.server.keys = "slow"
    waiting = asyncio.create_task(outcomes(world, [signer.token()]))
    await turns(10_000)
    assert world.server.key_fetches == 1
    assert not waiting.done()
    world.server.gate.set()
    assert await waiting == ["user"]
    await world.stack.aclose()


@pytest.mark.parametrize("behaviour", BAD)
async def test_keys_down_and_none_known_is_503_with_retry_after(world: World, signer: Signer, behaviour: str):
    world.server.keys, world.server.me = behaviour, "503"
    with pytest.raises(VerificationUnavailable) as caught:
        await world.verify(signer.token())
    assert caught.value.status_code == 503
    assert 1 <= caught.value.retry_after <= 30


async def test_warm_up_fails_if_every_response_is_rejected(world: World):
    """A key server whose every answer is refused cannot be warmed up."""
    world.server.keys = "junk"
    with pytest.raises(VerificationUnavailable):
        await world.stack.warm_up()


async def test_a_flood_of_junk_tokens_causes_capped_calls(world: World, signer: Signer):
    """A flood of 1000 junk tokens causes at most the capped number of calls."""
    world.server.keys, world.server.me = "503", "slow"
    flood = asyncio.create_task(outcomes(world, strangers(1_000)))
    await until(lambda: world.server.count("/users/me"))
    await turns(50)
    world.server.me = "unparsable"
    world.server.gate.set()
    found = await flood
    assert world.server.count("/users/me") == world.verifier.stats.fallbacks == 8
    assert world.server.most_at_once <= 8
    assert sorted(set(found)) in (["token_signature_invalid", "verification_unavailable"], ["verification_unavailable"])
    assert found.count("verification_unavailable") >= 992
    assert world.server.key_fetches == 1


async def test_junk_never_reaches_the_fallback(world: World, signer: Signer):
    """Junk that fails a check of our own never reaches the fallback."""
    world.server.keys = "503"
    junk = [
        signer.token(iss="https://evil.test"),
        signer.token(exp=1, iat=0),
        signer.token(header={"alg": "none"}),
        signer.token("restricted", is_anonymous=True),
        "a.b.c",
    ]
    assert len(set(await outcomes(world, junk))) == 5
    assert world.server.count("/users/me") == 0


# --- answers of the key endpoint -------------------------------------------------------------------------


async def test_key_requests_have_no_headers_of_ours(world: World):
    """The keys of all three kinds are asked for without any header of ours."""
    await world.stack.warm_up()
    ((path, query, headers),) = world.server.requests
    assert path.endswith("/.well-known/jwks.json")
    assert query == {"include_anonymous": ["true"]}
    assert [name for name in headers if name.startswith("x-stack")] == []


async def test_a_server_that_refuses_the_flag_is_asked_without(world: World, signer: Signer):
    world.server.keys = "old"
    assert await outcomes(world, [signer.token()]) == ["user"]
    assert [query for _, query, _ in world.server.requests] == [{"include_anonymous": ["true"]}, {}]


@pytest.mark.parametrize(
    ("cache_control", "kept"),
    [
        (b"public, max-age=600", 600),
        (b"no-store", 60),
        (b"max-age=0", 60),
        (b"max-age=999999999", 3_600),
        (b"nonsense", 3_600),
        (b"", 3_600),
    ],
)
async def test_cache_control_is_honoured_within_bounds(world: World, signer: Signer, cache_control: bytes, kept: int):
    world.server.headers = [(b"cache-control", cache_control)]
    token = signer.token(iat=1, exp=2_000_000_000)
    await world.verify(token)
    world.advance(kept * 0.79)
    await world.verify(token)
    assert world.server.key_fetches == 1
    world.advance(kept * 0.22)
    await world.verify(token)
    assert world.server.key_fetches == 2


async def test_other_duplicate_and_junk_keys_are_skipped(world: World, signer: Signer):
    """Keys of other kinds duplicates and nonsense are passed over."""
    other = Signer("key-1")  # a server that rotates may publish a key id twice
    good = world.signer.jwk
    document = {
        "keys": [
            None,
            7,
            {},
            {"kty": "RSA", "kid": "key-1", "n": "x", "e": "AQAB"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "x"},
            {**good, "crv": "P-384"},
            {**good, "use": "enc"},
            {**good, "x": "A" * 43},
            {**good, "x": "!" * 43},
            {**good, "y": None},
            {**good, "kid": None},
            {**good, "extra": True},
            good,
            other.jwk,
        ]
    }
    seeded = World.make(signer, jwks=document)
    assert await outcomes(seeded, [signer.token(), other.token()]) == ["user", "user"]
    assert await outcomes(seeded, [Signer("key-1").token()]) == ["token_signature_invalid"]
    assert seeded.server.requests == []


async def test_seeded_keys_from_a_file_work_offline(tmp_path: Path, signer: Signer):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [signer.jwk]}))
    world = World.make(signer, jwks=str(file))
    await world.stack.warm_up()
    world.advance(400 * DAY)
    assert await outcomes(world, [signer.token(exp=2_000_000_000), Signer("x").token()]) == [
        "user",
        "token_key_unknown",
    ]
    assert world.server.requests == []


# --- the table -------------------------------------------------------------------------------------------


def test_the_table_in_the_docs_names_these_tests():
    """Each row of the docs' table ends with the test that shows it, and that test exists here."""
    page = Path(__file__).parents[2] / "docs/verification.md"
    named = re.findall(r"\| `(test_\w+)` \|$", page.read_text("utf-8"), re.MULTILINE)
    assert len(named) >= 12
    assert [name for name in named if name not in globals()] == []


async def test_an_outage_keeps_verified_tokens_cached(world: World, signer: Signer):
    """An outage does not switch off the memory of verified tokens."""
    await world.stack.warm_up()
    world.server.keys = "503"
    token = signer.token(iat=1, exp=2_000_000_000)
    await world.verify(token)
    world.advance(3_601)
    await world.verify(token)  # waits for the fetch that fails
    misses = world.verifier.stats.misses
    for _ in range(100):
        await world.verify(token)
    assert world.verifier.stats.misses == misses


async def test_an_expired_set_is_used_while_the_endpoint_hangs(world: World, signer: Signer):
    """A set that has outlived its time serves while the endpoint hangs."""
    await world.stack.warm_up()
    world.server.keys = "slow"
    world.advance(3_601)
    token = signer.token(iat=1, exp=2_000_000_000)
    assert await outcomes(world, [token]) == ["user"]  # with the gate still closed
    world.server.gate.set()
    await until(lambda: world.verifier.stats.fetches == 2)
