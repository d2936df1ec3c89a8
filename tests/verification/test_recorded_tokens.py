"""Tokens that a real auth server made, and the older spellings its ancestors used."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fastapi_stackauth import AuthError, StackAuth, TokenKind, User
from fastapi_stackauth.verification.claims import decode_segment, read_as_written
from fastapi_stackauth.verification.verifier import Verifier
from tests.support.forge import ABSENT, PROJECT, Signer
from tests.support.rows import rows
from tests.support.world import Clock, World

VECTORS = json.loads((Path(__file__).parents[1] / "data/token-vectors.json").read_text("utf-8"))
TOKENS = VECTORS["tokens"]


def verifier_at(now: float, jwks: str = "jwks") -> Verifier:
    stack = StackAuth(project_id=VECTORS["project_id"], base_url=VECTORS["base_url"], jwks=VECTORS[jwks])
    return Verifier(stack.settings, stack.client, clock=Clock(now))


@rows("recorded", TOKENS, ids=lambda recorded: recorded["kind"])
def test_a_real_token_is_read_by_the_quick_reader(recorded: dict[str, Any]):
    """Else the way that all tokens take would be the slow one, with the same results."""
    assert read_as_written(decode_segment(recorded["token"].split(".")[1])) == recorded["claims"]


def test_all_three_kinds_were_recorded():
    assert {token["kind"] for token in TOKENS} == {"normal", "restricted", "anonymous"}


@rows("recorded", TOKENS, ids=lambda recorded: recorded["kind"])
async def test_a_real_token_verifies_until_expiry_plus_leeway(recorded: dict[str, Any]):
    """A real token verifies while it lives and fails after expiry plus leeway."""
    for now in (recorded["issued_at"], recorded["expires_at"], recorded["expires_at"] + 4.9):
        user = await verifier_at(now).verify(recorded["token"])
        assert user.kind is TokenKind(recorded["kind"])
        assert json.loads(json.dumps(user.claims)) == recorded["claims"]
    for now, code in (
        (recorded["expires_at"] + 5, "token_expired"),
        (recorded["issued_at"] - 5.1, "token_not_yet_valid"),
    ):
        with pytest.raises(AuthError) as caught:
            await verifier_at(now).verify(recorded["token"])
        assert caught.value.code == code


@rows("recorded", TOKENS, ids=lambda recorded: recorded["kind"])
async def test_a_real_token_says_who_it_is(recorded: dict[str, Any]):
    user, claims = await verifier_at(recorded["issued_at"]).verify(recorded["token"]), recorded["claims"]
    assert (user.id, user.email, user.display_name) == (claims["sub"], claims["email"], claims["name"])
    assert (user.session_id, user.selected_team_id) == (claims["refresh_token_id"], claims["selected_team_id"])
    assert (user.email_verified, user.mfa_required) == (claims["email_verified"], claims["requires_totp_mfa"])
    assert user.restricted_reason == (claims["restricted_reason"] or {}).get("type")
    assert (user.is_anonymous, user.is_restricted) == (claims["is_anonymous"], claims["is_restricted"])
    assert user.issued_at is not None
    assert user.issued_at.timestamp() == recorded["issued_at"]
    assert User.model_validate_json(user.model_dump_json()) == user


@pytest.mark.parametrize(
    ("jwks", "kinds"), [("jwks_default", {"normal"}), ("jwks_restricted", {"normal", "restricted"})]
)
async def test_a_missing_kinds_keys_affect_that_kind_only(jwks: str, kinds: set[str]):
    """A key set without a kinds keys verifies the other kinds alone."""
    for recorded in TOKENS:
        verifier = verifier_at(recorded["issued_at"], jwks)
        if recorded["kind"] in kinds:
            assert await verifier.verify(recorded["token"])
        else:
            with pytest.raises(AuthError) as caught:
                await verifier.verify(recorded["token"])
            assert caught.value.code == "token_key_unknown"


# --- older servers ---------------------------------------------------------------------------------------

SUMMER_2025: dict[str, Any] = {  # contract/version_drift.md A
    "branch_id": ABSENT,
    "refresh_token_id": ABSENT,
    "project_id": ABSENT,
    "name": ABSENT,
    "email": ABSENT,
    "email_verified": ABSENT,
    "selected_team_id": ABSENT,
    "is_anonymous": ABSENT,
    "is_restricted": ABSENT,
    "restricted_reason": ABSENT,
    "signed_up_at": ABSENT,
    "requires_totp_mfa": ABSENT,
    "branchId": "main",
    "refreshTokenId": "session",
}


async def test_a_token_of_summer_2025_verifies(world: World, signer: Signer):
    user = await world.verify(signer.token(**SUMMER_2025))
    assert (user.kind, user.session_id, user.email) == (TokenKind.NORMAL, "session", None)


async def test_the_camel_case_claims_of_september_2025_are_read(world: World, signer: Signer):
    camel = {
        "displayName": "Ada",
        "primaryEmail": "ada@example.com",
        "primaryEmailVerified": True,
        "selectedTeamId": "t",
    }
    user = await world.verify(signer.token(**{**SUMMER_2025, **camel}))
    assert (user.display_name, user.email, user.email_verified) == ("Ada", "ada@example.com", True)
    assert user.selected_team_id == "t"


@pytest.mark.parametrize(
    "flags",
    [
        {"is_restricted": ABSENT, "restricted_reason": ABSENT},
        {"is_restricted": ABSENT, "restricted_reason": ABSENT, "is_anonymous": ABSENT, "role": "anon"},
    ],
)
async def test_a_guest_from_before_restricted_users_is_a_guest(world: World, signer: Signer, flags: dict[str, Any]):
    user = await world.verify(signer.token("anonymous", **flags))
    assert (user.kind, user.restricted_reason) == (TokenKind.ANONYMOUS, "anonymous")


async def test_an_old_guest_is_no_full_user(world: World, signer: Signer):
    with pytest.raises(AuthError) as caught:
        await world.verify(signer.token(is_anonymous=ABSENT, is_restricted=ABSENT, role="anon"))
    assert caught.value.code == "token_kind_mismatch"


async def test_unexpected_claims_and_reasons_are_kept(world: World, signer: Signer):
    """Claims of unforeseen types and unknown reasons are kept and harm nobody."""
    odd: dict[str, Any] = {
        "name": 7,
        "email": ["a"],
        "selected_team_id": {},
        "signed_up_at": "x",
        "email_verified": "yes",
        "new": [{}],
    }
    user = await world.verify(signer.token("restricted", restricted_reason={"type": "moon_phase"}, **odd))
    assert (user.display_name, user.email, user.signed_up_at, user.email_verified) == (None, None, None, False)
    assert user.restricted_reason == "moon_phase"
    assert user.claims["new"] == ({},)


@rows("configured", ["api.stack-auth.com", "api.hexclave.com"])
@rows("named", ["api.stack-auth.com", "api.hexclave.com"])
async def test_a_project_has_tokens_under_the_servers_old_and_new_name(signer: Signer, configured: str, named: str):
    world = World.make(signer, base_url=f"https://{configured}")
    assert await world.verify(signer.token(iss=f"https://{named}/api/v1/projects/{PROJECT}"))


async def test_a_self_hosted_server_has_two_addresses(signer: Signer):
    """A self hosted server has an internal and a public address."""
    world = World.make(signer, base_url="http://stack:8102/prefix", issuers=["https://auth.example.com/"])
    issuers = ("http://stack:8102", "https://auth.example.com")
    tokens = [signer.token(iss=f"{issuer}/api/v1/projects/{PROJECT}") for issuer in issuers]
    assert len(await asyncio.gather(*map(world.verify, tokens))) == 2
