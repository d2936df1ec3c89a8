"""What a seed may bring: nothing that the API itself would refuse."""

import json
from typing import Any

import pytest

from .api import PASSWORD, Api, refused

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
    with pytest.raises(ValueError, match=r"seed|JSON"):
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
    attempt_code = refused(await api.sign_in(), 400, "MULTI_FACTOR_AUTHENTICATION_REQUIRED")["attempt_code"]
    body = {"type": "totp", "totp": "123456", "code": attempt_code}
    refused(await api.post("/auth/mfa/sign-in", body), 400, "INVALID_TOTP_CODE")
