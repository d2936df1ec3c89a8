"""Binding and time: a token of another project, kind or time has its own refusal."""

import copy
import pickle
from typing import Any

import pytest

from fastapi_stackauth import AuthError, ConfigurationError, StackAuth, TokenKind, User
from fastapi_stackauth.verification.verifier import Verifier
from tests.support.forge import (
    ABSENT,
    AUDIENCES,
    BASE,
    FLAGS,
    ISSUERS,
    KINDS,
    LIFETIME,
    NOW,
    PROJECT,
    Signer,
)
from tests.support.rows import rows
from tests.support.world import World
from tests.verification.helpers import refusal


class Member(User):
    """A user of an app's own."""

    plan: str = "free"


NO_TIMES = [1.5, float(NOW), "1800000000", True, False, -1, 2**53 + 1, 10**400, [NOW], {"a": 1}, ""]
NO_AUDIENCES = [
    "",
    "another",
    f"{PROJECT}:",
    f"{PROJECT}:anonymous",
    f"{PROJECT} ",
    PROJECT.upper(),
    7,
    True,
    [PROJECT],
]


# --- claims and binding ----------------------------------------------------------------------------------


@rows("name", ["sub", "iss", "aud", "exp", "iat", "branch_id"])
@rows("value", [ABSENT, None])
async def test_a_required_claim_must_be_there(verifier: Verifier, signer: Signer, name: str, value: Any):
    assert await refusal(verifier, signer.token(**{name: value})) == "token_claims_missing"


@rows("value", ["", 7, True, ["a"], {"a": 1}])
async def test_a_subject_is_a_text(verifier: Verifier, signer: Signer, value: Any):
    assert await refusal(verifier, signer.token(sub=value)) == "token_malformed"


@rows(
    "issuer",
    [
        "https://evil.test/api/v1/projects/" + PROJECT,
        f"{BASE}/api/v1/projects/another",
        f"{BASE}/api/v1/projects/{PROJECT}/",
        f"{BASE}/api/v1/projects/{PROJECT}?x",
        f"{BASE}:443/api/v1/projects/{PROJECT}",
        f"{BASE}/prefix/api/v1/projects/{PROJECT}",
        f"{BASE.upper()}/api/v1/projects/{PROJECT}",
        f"http://auth.test/api/v1/projects/{PROJECT}",
        f"{BASE}.evil.test/api/v1/projects/{PROJECT}",
        "access-token.jwt-signature.stack-auth.com",
        "",
        7,
        True,
        [ISSUERS["normal"]],
        {"a": 1},
    ],
)
async def test_only_the_projects_issuers_count(verifier: Verifier, signer: Signer, issuer: object):
    assert await refusal(verifier, signer.token(iss=issuer)) == "token_issuer_not_allowed"


@rows(
    "audience",
    [
        "",
        "another",
        f"{PROJECT}:",
        f"{PROJECT}:anonymous",
        f"{PROJECT} ",
        PROJECT.upper(),
        7,
        True,
        [PROJECT],
        [],
        {"a": 1},
    ],
)
async def test_only_the_projects_audiences_count_and_never_a_list(verifier: Verifier, signer: Signer, audience: object):
    assert await refusal(verifier, signer.token(aud=audience)) == "token_audience_not_allowed"


@pytest.mark.parametrize("changes", [{"project_id": "another"}, {"project_id": 7}, {"project_id": [PROJECT]}])
async def test_another_project_is_refused(verifier: Verifier, signer: Signer, changes: dict[str, Any]):
    assert await refusal(verifier, signer.token(**changes)) == "token_project_mismatch"


@rows("branch", ["", "dev", "MAIN", 7, ["main"], False])
async def test_another_branch_is_refused(verifier: Verifier, signer: Signer, branch: object):
    assert await refusal(verifier, signer.token(branch_id=branch)) == "token_project_mismatch"


@rows("flags", KINDS)
@rows("audience", KINDS)
@rows("issuer", KINDS)
async def test_issuer_audience_and_claims_name_the_same_kind(
    verifier: Verifier, signer: Signer, issuer: str, audience: str, flags: str
):
    """All 27 ways to cross them: three are tokens, twenty-four are forged."""
    token = signer.token(iss=ISSUERS[issuer], aud=AUDIENCES[audience], **FLAGS[flags])
    if issuer == audience == flags:
        assert (await verifier.verify(token)).kind is TokenKind(issuer)
    else:
        assert await refusal(verifier, token) == "token_kind_mismatch"


@rows("kind", KINDS)
@rows(
    "flags",
    [
        {"is_anonymous": True, "is_restricted": False},
        {"is_anonymous": None},
        {"is_anonymous": "false"},
        {"is_anonymous": 0},
        {"is_restricted": None},
        {"is_restricted": "true"},
        {"is_restricted": 1},
    ],
)
async def test_wrong_and_contradicting_flags_are_rejected(
    verifier: Verifier, signer: Signer, kind: str, flags: dict[str, Any]
):
    """Flags that are no booleans or contradict themselves are refused."""
    assert await refusal(verifier, signer.token(kind, **flags)) == "token_kind_mismatch"


# --- time ------------------------------------------------------------------------------------------------


@rows("name", ["exp", "iat", "nbf"])
@rows("value", [1.5, float(NOW), "1800000000", True, False, -1, 2**53 + 1, 10**400, [NOW], {"a": 1}, ""])
async def test_a_time_is_a_whole_number_of_seconds(verifier: Verifier, signer: Signer, name: str, value: Any):
    assert await refusal(verifier, signer.token(**{name: value})) == "token_malformed"


@rows(
    ("seconds", "code"),
    [
        (-6, "token_not_yet_valid"),
        (-5, None),
        (0, None),
        (LIFETIME, None),
        (LIFETIME + 4.9, None),
        (LIFETIME + 5, "token_expired"),
        (LIFETIME + 86_400, "token_expired"),
    ],
)
async def test_a_token_is_valid_from_issue_to_expiry(
    verifier: Verifier, world: World, signer: Signer, seconds: float, code: str | None
):
    """A token lives from its issue to its expiry give or take the leeway."""
    world.clock.now = NOW + seconds
    token = signer.token()
    if code is None:
        assert await verifier.verify(token)
    else:
        assert await refusal(verifier, token) == code


async def test_a_not_before_in_the_future_is_honoured(verifier: Verifier, signer: Signer, world: World):
    token = signer.token(nbf=NOW + 60)
    assert await refusal(verifier, token) == "token_not_yet_valid"
    world.advance(60)
    assert await verifier.verify(token)


@pytest.mark.parametrize("exp", [2**53, 253_402_300_800])
async def test_an_expiry_beyond_pythons_calendar_is_an_expiry(verifier: Verifier, signer: Signer, exp: int):
    user = await verifier.verify(signer.token(exp=exp))
    assert user.expires_at is None
    assert user.claims["exp"] == exp


# --- order -----------------------------------------------------------------------------------------------


async def test_form_then_signature_then_binding_then_time(verifier: Verifier, signer: Signer, stranger: Signer):
    """Nothing is said of a token's claims before its signature has been found right."""
    wrong: dict[str, Any] = {"iss": "https://evil.test", "exp": NOW - 9_999}
    codes = []
    for token in (
        stranger.token(header={"crit": []}, **wrong),
        stranger.token(**wrong),
        signer.token(**wrong),
        signer.token(exp=NOW - 9_999, iat=NOW - 10_000),
    ):
        with pytest.raises(AuthError) as caught:
            await verifier.verify(token)
        codes.append(caught.value.code)
    assert codes == ["token_malformed", "token_signature_invalid", "token_issuer_not_allowed", "token_expired"]


async def test_without_project_a_token_error_names_the_setting(monkeypatch: pytest.MonkeyPatch, signer: Signer):
    """A token is refused by name of the setting when there is no project."""
    monkeypatch.delenv("STACK_PROJECT_ID", raising=False)
    stack = StackAuth(jwks={"keys": [signer.jwk]})
    with pytest.raises(ConfigurationError, match="project_id"):
        await stack.verifier.verify(signer.token())


@pytest.mark.parametrize("kind", KINDS)
async def test_the_user_of_a_token_is_a_model_like_any_other(verifier: Verifier, signer: Signer, kind: str):
    """They are put together past pydantic's own constructor, which must make no difference to whoever gets one."""
    user = await verifier.verify(signer.token(kind, roles=["a", {"b": 1}]))
    fields = {name: getattr(user, name) for name in User.model_fields}
    for twin in (User(**fields), User.model_construct(set(fields), **fields), User.model_validate(user.model_dump())):
        assert (user, hash(user), repr(user)) == (twin, hash(twin), repr(twin))
        assert user.model_dump_json() == twin.model_dump_json()
        assert user.model_fields_set == twin.model_fields_set
    for other in (copy.copy(user), copy.deepcopy(user), pickle.loads(pickle.dumps(user)), user.model_copy()):
        assert other == user
    assert Member.from_claims(user.claims, user.kind) == Member(**fields)
    assert user.model_copy(update={"email": "new@example.com"}).email == "new@example.com"
    with pytest.raises(ValueError, match="frozen"):
        user.email = "new@example.com"  # type: ignore[misc]  # that is what is tried
