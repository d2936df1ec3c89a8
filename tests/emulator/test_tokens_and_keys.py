"""Tokens are real: their keys are published, and what verifies other people's tokens verifies these."""

import json
from pathlib import Path
from typing import Any

import pytest
from jose import jws

from fastapi_stackauth.emulator import Emulator, keys

from .api import Api, assert_rejected

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "token-vectors.json").read_text())


async def key_set(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = await api.get(f"/projects/{api.emulator.project_id}/.well-known/jwks.json{query}", access=None)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["keys"])


async def test_a_token_verifies_with_the_published_key_of_its_audience(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    kid = keys.read_json(token.split(".")[0])["kid"]
    key = next(key for key in await key_set(api) if key["kid"] == kid)
    assert json.loads(jws.verify(token, key, ["ES256"]))["email"] == "ada@example.com"


async def test_header_and_claims_have_the_recorded_names_and_types(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    head, claims = (keys.read_json(part) for part in token.split(".")[:2])
    recorded = next(item for item in VECTORS["tokens"] if item["kind"] == "normal")
    assert set(head) == set(recorded["header"])
    assert list(claims) == list(recorded["claims"])
    assert claims["exp"] - claims["iat"] == 600
    assert isinstance(claims["signed_up_at"], int)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 2),
        ("?include_restricted=true", 4),
        ("?include_anonymous=true", 6),
        ("?include_anonymous=true&include_restricted=false", 6),
        ("?include_anonymous=false", 2),
    ],
)
async def test_the_flags_of_the_key_set_choose_the_kinds(api: Api, query: str, count: int) -> None:
    found = await key_set(api, query)
    assert len({key["kid"] for key in found}) == len(found) == count
    assert all(set(key) == {"kty", "crv", "alg", "kid", "x", "y"} for key in found)
    assert found[:2] == await key_set(api)


@pytest.mark.parametrize("query", ["?include_anonymous=1", "?include_anonymous=", "?foo=bar"])
async def test_any_other_flag_is_refused(api: Api, query: str) -> None:
    answer = await api.get(f"/projects/{api.emulator.project_id}/.well-known/jwks.json{query}", access=None)
    assert_rejected(answer, 400, "SCHEMA_ERROR")


async def test_an_unknown_project_has_no_keys(api: Api) -> None:
    assert (await api.get("/projects/nope/.well-known/jwks.json", access=None)).status_code == 404


async def test_rotated_keys_refuse_old_tokens_and_leave_the_key_set(api: Api) -> None:
    token, before = (await api.sign_up())["access_token"], await key_set(api)
    api.emulator.store.projects.rotate_keys()
    assert_rejected(await api.me(token), 401, "UNPARSABLE_ACCESS_TOKEN")
    assert not {key["kid"] for key in before} & {key["kid"] for key in await key_set(api)}


def test_equal_secrets_give_equal_keys_and_other_secrets_others() -> None:
    one, same, other = (keys.key_set(secret, "p", ["normal"]) for secret in ("s", "s", "t"))
    assert one == same != other


async def test_issuers_follow_the_public_address() -> None:
    emulator = Emulator("https://auth.example/some/path/")
    api = Api(emulator)
    claims = keys.read_json((await api.sign_up())["access_token"].split(".")[1])
    assert claims["iss"] == f"https://auth.example/api/v1/projects/{emulator.project_id}"
    await api.http.aclose()
    emulator.close()
