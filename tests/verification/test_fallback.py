"""While keys are out of reach the auth server is asked about the token; that replaces the signature check alone."""

import asyncio
import logging
from typing import Any

import pytest

from fastapi_stackauth import AuthError, AuthServerMisconfigured, User, VerificationUnavailable
from tests.support.forge import SUBJECT, Signer
from tests.support.forge import claims as claims_of
from tests.support.world import World, until


@pytest.fixture
def down(world: World) -> World:
    """Keys cannot be had."""
    world.server.keys = "503"
    return world


async def get_error_code(world: World, token: str) -> str:
    with pytest.raises(AuthError) as caught:
        await world.verify(token)
    assert caught.value.status_code == 401
    return caught.value.code


@pytest.mark.parametrize("kind", ["normal", "restricted", "anonymous"])
async def test_the_fallback_accepts_what_the_server_knows(down: World, signer: Signer, kind: str):
    """A token that the server knows is accepted as if keys had verified it."""
    token = signer.token(kind)
    by_server = await down.verify(token)
    assert len(down.verifier) == 0
    down.server.keys = "ok"
    down.advance(30)
    assert await down.verify(token) == by_server
    assert len(down.verifier) == 1
    assert down.verifier.stats.fallbacks == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("gone", "user_deleted"),
        ("expired", "token_expired"),
        ("unparsable", "token_signature_invalid"),
        ("project", "token_project_mismatch"),
    ],
)
async def test_what_the_server_holds_against_a_token_is_401(down: World, signer: Signer, answer: str, code: str):
    down.server.me = answer
    assert await get_error_code(down, signer.token()) == code


async def test_nothing_is_made_of_a_token_that_nobody_has_confirmed(
    down: World, signer: Signer, monkeypatch: pytest.MonkeyPatch
):
    """Whoever forges a token chooses what a user would be made of."""
    made: list[Any] = []
    monkeypatch.setattr(User, "from_claims", lambda claims, _kind: made.append(claims))
    down.server.me = "unparsable"
    assert await get_error_code(down, signer.token()) == "token_signature_invalid"
    assert not made


async def test_the_account_must_be_the_tokens_subject(down: World, signer: Signer):
    down.server.subject = "somebody-else"
    assert await get_error_code(down, signer.token()) == "token_signature_invalid"


@pytest.mark.parametrize("answer", ["keys", "unknown-project"])
async def test_a_server_that_refuses_this_app_is_502_and_logged(
    down: World, signer: Signer, answer: str, caplog: pytest.LogCaptureFixture
):
    down.server.me = answer
    with pytest.raises(AuthServerMisconfigured) as caught:
        await down.verify(signer.token())
    assert caught.value.status_code == 502
    assert [record for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize("answer", ["503", "text"])
async def test_an_answer_that_says_nothing_about_the_token_is_503(down: World, signer: Signer, answer: str):
    down.server.me = answer
    with pytest.raises(VerificationUnavailable):
        await down.verify(signer.token())


async def test_a_server_that_hangs_is_503(signer: Signer):
    world = World.make(signer, timeout=0.02)
    world.server.keys, world.server.me = "503", "hang"
    with pytest.raises(VerificationUnavailable):
        await world.verify(signer.token())


async def test_concurrent_lookups_are_shared_and_cached(down: World, signer: Signer):
    """Nothing is asked twice at a time and answers are kept for a moment."""
    token = signer.token()
    await asyncio.gather(*(down.verify(token) for _ in range(50)))
    down.advance(9)
    await down.verify(token)
    assert down.server.count("/users/me") == 1
    down.advance(1)
    await down.verify(token)
    assert down.server.count("/users/me") == 2


async def test_refusals_are_kept_for_a_moment_too(down: World, signer: Signer):
    down.server.me = "unparsable"
    token = signer.token()
    for _ in range(3):
        assert await get_error_code(down, token) == "token_signature_invalid"
    assert down.server.count("/users/me") == 1


async def test_a_kept_answer_does_not_outlive_the_token(down: World, signer: Signer):
    token = signer.token()
    down.clock.now = claims_of()["exp"]
    await down.verify(token)
    down.clock.advance(5)
    assert await get_error_code(down, token) == "token_expired"


async def test_a_bad_signature_never_reaches_the_fallback(world: World, stranger: Signer):
    await world.stack.warm_up()
    world.server.keys = "503"
    world.advance(3_601)
    assert await get_error_code(world, stranger.token(iat=1, exp=2_000_000_000)) == "token_signature_invalid"
    assert world.server.count("/users/me") == 0


async def test_an_unknown_key_is_fetched_after_failures_only(world: World, stranger: Signer):
    """An unknown key is asked about only while the last fetch failed."""
    await world.stack.warm_up()
    token = stranger.token(header={"kid": "key-9"})
    assert await get_error_code(world, token) == "token_key_unknown"
    world.server.keys = "503"
    world.advance(30)
    assert (await world.verify(token)).id == SUBJECT  # the fake server says yes to anybody
    assert world.server.count("/users/me") == 1


@pytest.mark.parametrize(
    ("keys", "access_type", "sent", "not_sent"),
    [
        ({}, "client", None, "x-stack-secret-server-key"),
        (
            {"publishable_client_key": "pck_1"},
            "client",
            "x-stack-publishable-client-key",
            "x-stack-secret-server-key",
        ),
        (
            {"publishable_client_key": "pck_1", "secret_server_key": "ssk_1"},
            "client",
            "x-stack-publishable-client-key",
            "x-stack-secret-server-key",
        ),
        ({"secret_server_key": "ssk_1"}, "server", "x-stack-secret-server-key", "x-stack-publishable-client-key"),
    ],
)
async def test_it_calls_as_client_unless_only_the_secret_key_is_set(
    signer: Signer, keys: dict[str, Any], access_type: str, sent: str | None, not_sent: str
):
    """It asks as client unless only the secret key is configured."""
    world = World.make(signer, **keys)
    world.server.keys = "503"
    token = signer.token("anonymous")
    await world.verify(token)
    path, _, headers = world.server.requests[-1]
    assert path == "/api/v1/users/me"
    assert headers["x-stack-access-type"] == access_type
    assert headers["x-stack-access-token"] == token
    assert headers["x-stack-allow-anonymous-user"] == "true"
    assert sent is None or headers[sent] in keys.values()
    assert not_sent not in headers


async def test_a_cancelled_waiter_harms_no_other(down: World, signer: Signer):
    down.server.me = "slow"
    token = signer.token()
    first, second = (asyncio.create_task(down.verify(token)) for _ in range(2))
    await until(lambda: down.server.count("/users/me"))
    first.cancel()
    await asyncio.sleep(0)
    down.server.gate.set()
    assert (await second).id == SUBJECT
    assert first.cancelled()
    assert down.server.count("/users/me") == 1


async def test_without_fallback_keys_out_of_reach_are_503(signer: Signer):
    world = World.make(signer, fallback_concurrency=0)
    world.server.keys = "503"
    with pytest.raises(VerificationUnavailable):
        await world.verify(signer.token())
    assert world.server.count("/users/me") == 0


async def test_the_answers_kept_are_bounded(down: World, signer: Signer):
    tokens = [signer.token(jti=number) for number in range(1_001)]
    for token in [*tokens, tokens[1], tokens[1_000]]:
        await down.verify(token)
    assert down.server.count("/users/me") == 1_001
    await down.verify(tokens[0])  # it was evicted
    assert down.server.count("/users/me") == 1_002
