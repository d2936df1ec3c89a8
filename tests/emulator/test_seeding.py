"""What a seed may bring: nothing that the API itself would refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its types are a package of their own

from fastapi_stackauth.emulator.json_schema import seed_schema

from .api import PASSWORD, Api, assert_rejected

GOOGLE = {"id": "google", "account_id": "1"}
BCRYPT = "$2b$04$" + "a" * 53
ADA = {"primary_email": "ada@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    "users",
    [
        [{"display_name": "\ud800"}], [{"display_name": float("inf")}], [{"client_metadata": {"a": float("nan")}}],
        [{"oauth_providers": [GOOGLE, GOOGLE]}], [{"oauth_providers": [GOOGLE, {**GOOGLE, "account_id": "2"}]}],
        [{"oauth_providers": [GOOGLE]}, {"oauth_providers": [GOOGLE]}], [{"oauth_providers": [{**GOOGLE, "id": "x"}]}],
        [{"password_hash": "nonsense"}], [{"password": "1234567"}], [{"password": PASSWORD, "password_hash": BCRYPT}],
        [{"restricted_by_admin_reason": "spam"}], [{"restricted_by_admin_private_details": "x"}],
        [{"primary_email_verified": True}], [{"passkey_auth_enabled": True}], [{"totp_secret_base64": "no"}],
    ],
    ids=range(15),
)  # fmt: skip
async def test_a_seed_makes_no_user_whom_the_api_would_refuse(api: Api, users: list[Any]) -> None:
    eve = {"primary_email": "eve@example.com", "password_hash": BCRYPT}
    content = json.dumps({"seed": {"users": [eve, *users]}})
    answer = await api.http.post("/emulator/seed", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert PASSWORD not in answer.text
    with pytest.raises(ValueError, match=r"seed|JSON|a user has"):
        api.emulator.seed({"users": [eve, *users]})
    assert (await api.get("/users", access="server")).json()["items"] == []


async def test_a_seeded_provider_account_and_restriction_are_there(api: Api) -> None:
    user = {**ADA, "oauth_providers": [GOOGLE], "restricted_by_admin": True, "restricted_by_admin_reason": "spam"}
    api.emulator.seed({"users": [user]})
    [seeded] = (await api.get("/users?include_restricted=true", access="server")).json()["items"]
    assert seeded["restricted_by_admin_reason"] == "spam"
    assert [account["account_id"] for account in seeded["oauth_providers"]] == ["1"]


@pytest.mark.parametrize("secret", ["", "AAAA"])
async def test_a_seeded_secret_that_is_too_short_signs_nobody_in(api: Api, secret: str) -> None:
    api.emulator.seed({"users": [{**ADA, "totp_secret_base64": secret}]})
    attempt_code = assert_rejected(await api.sign_in(), 400, "MULTI_FACTOR_AUTHENTICATION_REQUIRED")["attempt_code"]
    body = {"type": "totp", "totp": "123456", "code": attempt_code}
    assert_rejected(await api.post("/auth/mfa/sign-in", body), 400, "INVALID_TOTP_CODE")


# --- the documented form ---

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = json.loads((DOCS / "seed.example.json").read_text("utf-8"))
SCHEMA = json.loads((DOCS / "seed.schema.json").read_text("utf-8"))


def test_the_documented_schema_is_the_programs() -> None:
    """The schema in the docs is the one that the program prints."""
    assert seed_schema() == SCHEMA
    Draft202012Validator.check_schema(SCHEMA)


def test_the_page_shows_the_example_as_it_is() -> None:
    assert (DOCS / "seed.example.json").read_text("utf-8") in (DOCS / "emulator.md").read_text("utf-8")


async def test_the_example_seed_fits_and_can_be_repeated(api: Api) -> None:
    """The example fits the schema and fills a project again and again."""
    Draft202012Validator(SCHEMA).validate(EXAMPLE)
    for _ in range(2):
        api.emulator.seed(EXAMPLE)
    signed_in = await api.sign_in(password="correct horse battery")
    assert signed_in.status_code == 200, signed_in.text
    token = signed_in.json()["access_token"]
    teams = (await api.get("/teams?user_id=me", token=token)).json()["items"]
    assert [team["display_name"] for team in teams] == ["Red team"]
    granted = (await api.get("/team-permissions?user_id=me&recursive=true", token=token)).json()["items"]
    assert {"posts:delete", "posts:read", "$delete_team"} <= {item["id"] for item in granted}
    own = (await api.get("/project-permissions?user_id=me", token=token)).json()["items"]
    assert [item["id"] for item in own] == ["reports:see"]


@pytest.mark.parametrize(
    "seed",
    [
        {"teams": [{}]}, {"teams": [{"display_name": "x", "members": [{}]}]}, {"permissions": [{"id": "x"}]},
        {"permissions": [{"id": "$x", "scope": "team"}]}, {"users": [{"permissions": 5}]}, {"planets": []},
        {"project": {"config": {"nope": True}}}, {"project": {"config": {"sign_up_enabled": "perhaps"}}},
    ],
    ids=range(8),
)  # fmt: skip
async def test_schema_and_program_refuse_alike(api: Api, seed: dict[str, Any]) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(seed)
    with pytest.raises(ValueError, match=r"seed|config"):
        api.emulator.seed(seed)


@pytest.mark.parametrize(
    "seed",
    [
        {"users": [ADA], "teams": [{"display_name": "x", "members": [{"email": "eve@example.com"}]}]},
        {"users": [ADA], "teams": [{"display_name": "x", "members": [{"email": "ada@example.com"}] * 2}]},
        {"users": [{**ADA, "permissions": ["nope"]}]}, {"users": [{**ADA, "permissions": ["team_admin"]}]},
        {"users": [ADA], "permissions": [{"id": "x", "scope": "team", "contained_permission_ids": ["nope"]}]},
    ],
    ids=range(5),
)  # fmt: skip
async def test_a_seed_that_contradicts_itself_is_refused_whole(api: Api, seed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"seed|a user has|twice"):
        api.emulator.seed(seed)
    assert (await api.get("/users", access="server")).json()["items"] == []
