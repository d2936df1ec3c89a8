"""`TokenFactory`: good tokens of each kind, and bad ones, each with one fault, without any server."""

import pytest
from fastapi import FastAPI

from fastapi_stackauth import AuthError, StackAuth, TokenKind
from fastapi_stackauth.testing import TokenFactory, signed_in
from tests.support.world import Clock


@pytest.fixture
def factory() -> TokenFactory:
    return TokenFactory()


def believer(factory: TokenFactory) -> StackAuth:
    return StackAuth(
        project_id=factory.project_id, base_url=factory.base_url, jwks=factory.key_set, clock=factory.clock
    )


@pytest.mark.parametrize("kind", list(TokenKind))
async def test_a_token_of_each_kind_is_believed(factory: TokenFactory, kind: TokenKind):
    user = await believer(factory).verifier.verify(factory.token(kind, sub="ada"))
    assert (user.id, user.kind) == ("ada", kind)


@pytest.mark.parametrize(("fault", "code"), TokenFactory.FAULTS.items())
async def test_each_fault_is_the_only_one(factory: TokenFactory, fault: str, code: str):
    with pytest.raises(AuthError) as refused:
        await believer(factory).verifier.verify(factory.broken(fault, sub="ada", email="ada@example.com"))
    assert refused.value.code == code


async def test_a_token_expires_by_the_factorys_clock():
    clock = Clock(1_800_000_000)
    factory = TokenFactory(clock=clock)
    stack, token = believer(factory), factory.token(expires_in=60)
    assert await stack.verifier.verify(token)
    clock.advance(66)
    with pytest.raises(AuthError, match="expired"):
        await stack.verifier.verify(token)


def test_an_unknown_kind_or_fault_is_named(factory: TokenFactory):
    with pytest.raises(ValueError, match="giant"):
        factory.token("giant")
    with pytest.raises(ValueError, match="expired, not_yet_valid"):
        factory.broken("leg")


async def test_an_app_trusts_a_factory_for_a_block_and_no_longer(app: FastAPI, stack: StackAuth, factory: TokenFactory):
    before = stack.settings
    with factory.trusted_by(app):
        async with signed_in(app, factory.token(sub="ada")) as client:
            assert (await client.get("/me")).json()["id"] == "ada"
        async with signed_in(app, TokenFactory(factory.project_id).token()) as client:
            assert (await client.get("/me")).json()["code"] == "token_key_unknown"
    assert stack.settings is before
    assert stack.settings.project_id == "production"


async def test_what_only_a_server_knows_fails_loudly(app: FastAPI, factory: TokenFactory):
    with factory.trusted_by(app):
        async with signed_in(app, factory.token()) as client:
            with pytest.raises(RuntimeError, match="TokenFactory has none"):
                await client.get("/auth/sessions")


def test_no_repr_shows_a_key(factory: TokenFactory):
    assert repr(factory) == f"TokenFactory(project_id={factory.project_id!r}, base_url='https://stackauth.test')"
