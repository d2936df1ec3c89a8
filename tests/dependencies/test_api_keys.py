"""Machines with API keys, on the emulator over real HTTP: whose key it is, how often that is asked, what is refused."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from openapi_spec_validator import validate

from fastapi_stackauth import (
    ConfigurationError,
    Require,
    RequireTeam,
    RequireTeamApiKey,
    RequireUserApiKey,
    Team,
    User,
    WatchSession,
    api_key_team,
    api_key_user,
)
from fastapi_stackauth.access.api_keys import OwnerKind
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.models import ApiKeyCreate, ApiKeyUpdate, ServerTeamUpdate
from tests.support.company import Company
from tests.support.openapi import inline_references
from tests.support.redis_server import RedisServer

MAYBE_KEY = Require(allow_api_key=True)
MayRead = Require(team_permission="posts:read", team="team_id", allow_api_key=True)
TeamByKey = RequireTeam("team_id", require=MAYBE_KEY)
NEVER = ApiKeyCreate(description="of a robot", expires_at_millis=None)


@pytest.fixture
async def company(server: Emulator) -> AsyncIterator[Company]:
    company = Company(server, secret_server_key=server.secret_server_key)
    await company.create_team()
    add_routes(company.app)
    yield company
    await company.stack.aclose()
    await company.admin.aclose()


def add_routes(app: FastAPI) -> None:
    @app.get("/either")
    async def either(user: Annotated[User, Depends(MAYBE_KEY)]) -> User:
        return user

    @app.get("/robots")
    async def robots(user: Annotated[User, Depends(api_key_user)]) -> str:
        return user.id

    @app.get("/guests")
    async def guests(
        user: Annotated[User, Depends(RequireUserApiKey(allow_anonymous=True, allow_restricted=True))],
    ) -> str:
        return user.kind

    @app.get("/team")
    async def team(team: Annotated[Team, Depends(api_key_team)]) -> Team:
        return team

    @app.get("/teams/{team_id}/posts")
    async def posts(user: Annotated[User, Depends(MayRead)]) -> str:
        return user.id

    @app.get("/teams/{team_id}")
    async def show(team: Annotated[Team, Depends(TeamByKey)]) -> Team:
        return team

    @app.get("/people")
    async def people(user: Annotated[User, Depends(Require())]) -> str:
        return user.id


async def user_key(company: Company, user_id: str | None = None, key: ApiKeyCreate = NEVER) -> tuple[str, str]:
    """A key of the boss's, or of another user's: its id and its value."""
    made = await company.admin.user_api_keys.create(key, user_id=user_id or company.boss.user_id)
    return made.id, made.value


async def ask(company: Company, path: str, key: str | None = None, **headers: str) -> httpx.Response:
    return await company.ask(None, path, headers={**({"x-api-key": key} if key is not None else {}), **headers})


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_a_users_key_gives_the_user_without_session_and_claims(company: Company, header: str):
    _, key = await user_key(company)
    answer = await ask(company, "/either", **{header: key if header == "x-api-key" else f"Bearer {key}"})
    user = answer.json()
    assert (answer.status_code, user["id"], user["email"]) == (200, company.boss.user_id, "boss@example.com")
    assert (user["session_id"], user["claims"], user["kind"]) == (None, {}, "normal")
    assert (await company.ask(company.boss, "/either")).json()["session_id"], "a token does as well"
    assert (await company.ask(company.boss, "/robots")).json()["code"] == "authentication_required", "a key alone does"
    assert (await ask(company, "/people", authorization=f"Bearer {key}")).json()["code"] == "token_malformed"


async def test_a_teams_key_gives_the_team_as_its_members_see_it(company: Company):
    await company.admin.teams.update(company.team_id, ServerTeamUpdate(server_metadata={"secret": "of the server"}))
    key = (await company.admin.team_api_keys.create(NEVER, team_id=company.team_id)).value
    answer = await ask(company, "/team", key)
    assert (answer.status_code, answer.json()["id"]) == (200, company.team_id)
    assert "of the server" not in answer.text
    for path in ("/either", "/robots"):
        assert (await ask(company, path, key)).json()["code"] == "api_key_invalid", "a team is no user"
    _, of_user = await user_key(company)
    assert (await ask(company, "/team", of_user)).json()["code"] == "api_key_invalid", "and a user no team"


async def test_what_a_key_may_is_what_its_user_may(company: Company):
    _, key = await user_key(company, company.member.user_id)
    _, outside = await user_key(company, company.outsider.user_id)
    allowed = await ask(company, f"/teams/{company.team_id}/posts", key)
    refused = await ask(company, f"/teams/{company.team_id}/posts", outside)
    assert (allowed.status_code, allowed.json()) == (200, company.member.user_id)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
    assert (await ask(company, f"/teams/{company.team_id}", key)).json()["display_name"] == "Red"
    assert (await ask(company, f"/teams/{company.team_id}", outside)).status_code == 403


async def test_guests_and_restricted_users_need_leave(company: Company):
    guest = await company.stack.client.anonymous.sign_up()
    _, key = await user_key(company, guest.user_id)
    assert (await ask(company, "/robots", key)).json()["code"] == "anonymous_not_allowed"
    assert (await ask(company, "/guests", key)).json() == "anonymous"


@pytest.mark.parametrize(
    "value",
    ["sk_unknown", "pk_" + "a" * 600, "no-key", "sk_", "sk_with blank", "sk_\x7f", "eyJhbGciOiJFUzI1NiJ9.e30.x"],
)
async def test_what_is_no_key_is_refused_and_never_repeated(company: Company, value: str, caplog: Any):
    caplog.set_level("DEBUG")
    answer = await ask(company, "/either", value)
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_invalid")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert value not in answer.text
    if len(value) > 5:
        assert value not in caplog.text
    assert company.network.count("/user-api-keys/check") == (1 if value == "sk_unknown" else 0)


async def test_an_empty_header_is_no_key(company: Company):
    assert (await ask(company, "/either", "")).json()["code"] == "authentication_required"
    assert (await company.ask(company.boss, "/either", headers={"x-api-key": ""})).status_code == 200


@pytest.mark.parametrize("beside", ["another key", "token", "sdk header"])
async def test_a_key_beside_another_credential_is_a_conflict(company: Company, beside: str):
    _, key = await user_key(company)
    other = {
        "another key": {"authorization": "Bearer sk_another"},
        "token": {"authorization": f"Bearer {company.boss.access_token}"},
        "sdk header": {"x-stack-access-token": company.boss.access_token},
    }[beside]
    answer = await ask(company, "/either", key, **other)
    assert (answer.status_code, answer.json()["code"]) == (401, "credentials_conflict")
    assert (await ask(company, "/either", key, authorization=f"Bearer {key}")).status_code == 200, "the same key twice"


async def test_keys_that_have_expired_or_were_revoked_are_refused(company: Company):
    soon = datetime.now(UTC) + timedelta(minutes=5)
    _, expiring = await user_key(company, key=ApiKeyCreate(description="short", expires_at_millis=soon))
    key_id, revoked = await user_key(company)
    assert [(await ask(company, "/robots", key)).status_code for key in (expiring, revoked)] == [200, 200]
    change = ApiKeyUpdate(revoked=True)
    await company.admin.user_api_keys.update(key_id, change, user_id=company.boss.user_id)
    company.server.clock.advance(11)  # past api_key_ttl
    assert (await ask(company, "/robots", revoked)).json()["code"] == "api_key_invalid"
    company.server.clock.advance(300)
    assert (await ask(company, "/robots", expiring)).json()["code"] == "api_key_invalid"


async def test_the_key_of_a_user_who_is_gone_is_refused(company: Company):
    _, key = await user_key(company, company.outsider.user_id)
    assert (await ask(company, "/robots", key)).status_code == 200
    await company.admin.users.delete(company.outsider.user_id)
    company.server.clock.advance(11)
    assert (await ask(company, "/robots", key)).json()["code"] == "api_key_invalid"


async def test_results_are_cached_and_callers_share_one_call(company: Company):
    """An answer is remembered good or bad and many askers share one call."""
    _, key = await user_key(company)
    await asyncio.gather(*[ask(company, "/robots", key) for _ in range(10)])
    for bad in ("sk_bad", "sk_bad", "sk_bad"):
        await ask(company, "/robots", bad)
    assert company.network.count("/user-api-keys/check") == 2, "one for each key"
    company.server.clock.advance(11)
    await ask(company, "/robots", key)
    assert company.network.count("/user-api-keys/check") == 3


async def test_a_result_from_before_an_owner_change_is_dropped(company: Company):
    """An answer that was under way when its owner changed is not remembered."""
    owner_id, loads = company.boss.user_id, 0
    _, key = await user_key(company)
    keys = company.stack.services.api_keys
    load = keys._load

    async def changed_meanwhile(kind: OwnerKind, found: str) -> User | Team | None:
        nonlocal loads
        loads += 1
        owner = await load(kind, found)
        keys.forget(owner_id)
        return owner

    keys._load = changed_meanwhile  # type: ignore[method-assign, assignment]  # a change that comes at the worst moment
    for _ in range(2):
        assert (await ask(company, "/robots", key)).json() == owner_id
    assert loads == 2


async def test_too_many_keys_at_once_are_503(server: Emulator):
    """Too many keys at once are 503 and the auth server sees few."""
    company = Company(server, secret_server_key=server.secret_server_key, api_key_concurrency=2)
    add_routes(company.app)
    answers = await asyncio.gather(*[ask(company, "/robots", f"sk_guess{number}") for number in range(20)])
    codes = [answer.json()["code"] for answer in answers]
    assert set(codes) == {"api_key_invalid", "verification_unavailable"}
    assert company.network.count("/user-api-keys/check") == codes.count("api_key_invalid") == 2
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)
    await company.stack.aclose()


async def test_during_an_outage_known_keys_work_others_are_503(company: Company):
    """Without the auth server a known key goes on and others are 503."""
    _, key = await user_key(company)
    await ask(company, "/robots", key)
    company.network.cut = True
    assert (await ask(company, "/robots", key)).status_code == 200
    assert (await ask(company, "/robots", "sk_other")).json()["code"] == "verification_unavailable"


async def test_wrong_and_missing_secret_keys_are_the_apps_fault(server: Emulator):
    """A wrong secret key is the apps fault and a missing one is named."""
    wrong = Company(server, secret_server_key="ssk_wrong")
    add_routes(wrong.app)
    answer = await ask(wrong, "/robots", "sk_some")
    assert (answer.status_code, answer.json()["code"]) == (502, "auth_server_misconfigured")
    await wrong.stack.aclose()
    none = Company(server)
    add_routes(none.app)
    answer = await ask(none, "/robots", "sk_some")
    assert (answer.status_code, answer.json()["code"]) == (500, "configuration_error")
    assert "secret_server_key" in answer.json()["detail"]
    await none.stack.aclose()


@pytest.mark.parametrize("demand", [{"live": True}, {"max_age": timedelta(minutes=5)}])
def test_what_needs_a_session_is_refused_at_construction(demand: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="session"):
        Require(allow_api_key=True, **demand)
    with pytest.raises(ConfigurationError, match="session"):
        WatchSession(require=MAYBE_KEY)


async def test_each_dependency_is_overridable(company: Company):
    user = User(id="u-1")
    company.app.dependency_overrides[api_key_user] = lambda: user
    company.app.dependency_overrides[api_key_team] = lambda: Team(id="t-1", display_name="Blue")
    company.app.dependency_overrides[MAYBE_KEY] = lambda: user
    assert (await ask(company, "/robots")).json() == "u-1"
    assert (await ask(company, "/team")).json()["id"] == "t-1"
    assert (await ask(company, "/either")).json()["id"] == "u-1"


async def test_openapi_says_where_a_key_does_and_where_nothing_else(company: Company):
    schema = company.app.openapi()
    validate(schema)
    security = {path: schema["paths"][path]["get"]["security"] for path in ("/either", "/robots", "/team", "/people")}
    assert security == {
        "/either": [{"StackAuth": []}, {"StackAuthHeader": []}, {"StackAuthApiKey": []}],
        "/robots": [{"StackAuthApiKey": []}],
        "/team": [{"StackAuthApiKey": []}],
        "/people": [{"StackAuth": []}, {"StackAuthHeader": []}],
    }
    scheme = schema["components"]["securitySchemes"]["StackAuthApiKey"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-api-key")
    examples = inline_references(schema)["paths"]["/either"]["get"]["responses"]["401"]["content"][
        "application/problem+json"
    ]["examples"]
    assert "api_key_invalid" in examples
    assert RequireTeamApiKey() == api_key_team


async def test_workers_that_share_redis_ask_once_whose_a_key_is(server: Emulator, redis_server: RedisServer):
    one, two = [
        Company(server, secret_server_key=server.secret_server_key, redis_url=redis_server.url) for _ in range(2)
    ]
    await one.create_team()
    for worker in (one, two):
        add_routes(worker.app)
    _, key = await user_key(one)
    assert [(await ask(worker, "/robots", key)).status_code for worker in (one, two)] == [200, 200]
    assert [(await ask(worker, "/robots", "sk_bad")).status_code for worker in (one, two)] == [401, 401]
    assert [worker.network.count("/user-api-keys/check") for worker in (one, two)] == [2, 0]
    for worker in (one, two):
        await worker.stack.aclose()
        await worker.admin.aclose()


async def test_who_can_write_to_redis_can_be_nobody_by_that(server: Emulator, redis_server: RedisServer):
    company = Company(server, secret_server_key=server.secret_server_key, redis_url=redis_server.url)
    await company.create_team()
    add_routes(company.app)
    name = f"api-key:user:{hashlib.sha256(b'sk_made_up').hexdigest()}"
    for forged in (company.boss.user_id, f"{company.boss.user_id} 99999999999.0 {'0' * 64}", " 1", "a b c d"):
        await company.stack.services.storage.set(name, forged, 60)
        assert (await ask(company, "/robots", "sk_made_up")).json()["code"] == "api_key_invalid"
        company.server.clock.advance(11)
    await company.stack.aclose()
    await company.admin.aclose()


@pytest.mark.parametrize("revoked", [True, False], ids=["revoked key", "no such key"])
async def test_an_old_value_written_back_is_ignored(server: Emulator, redis_server: RedisServer, revoked: bool):
    """Its seal is right, but it says itself until when it counts."""
    company = Company(server, secret_server_key=server.secret_server_key, redis_url=redis_server.url)
    await company.create_team()
    add_routes(company.app)
    key_id, key = await user_key(company)
    if not revoked:
        key = "sk_no_such_key"
    storage, name = company.stack.services.storage, f"api-key:user:{hashlib.sha256(key.encode()).hexdigest()}"
    assert (await ask(company, "/robots", key)).status_code == (200 if revoked else 401)
    recorded = await storage.get(name)
    assert recorded is not None
    await company.admin.user_api_keys.update(key_id, ApiKeyUpdate(revoked=True), user_id=company.boss.user_id)
    await storage.remove(name)
    server.clock.advance(11)
    for _ in range(2):
        await storage.set(name, recorded, 60)
        assert (await ask(company, "/robots", key)).status_code == 401
        assert company.network.count("/user-api-keys/check") == 2, "the auth server is asked once, then it is known"
    await company.stack.aclose()
    await company.admin.aclose()


async def test_a_value_that_outlives_api_key_ttl_is_ignored(server: Emulator, redis_server: RedisServer):
    """Such as one that a worker wrote before the setting was lowered."""
    patient, strict = [
        Company(server, secret_server_key=server.secret_server_key, redis_url=redis_server.url, api_key_ttl=ttl)
        for ttl in (30, 10)
    ]
    await patient.create_team()
    for worker in (patient, strict):
        add_routes(worker.app)
    _, key = await user_key(patient)
    for worker in (patient, strict):
        assert (await ask(worker, "/robots", key)).status_code == 200
        assert worker.network.count("/user-api-keys/check") == 1
    for worker in (patient, strict):
        await worker.stack.aclose()
        await worker.admin.aclose()


async def test_another_workers_result_keeps_its_expiry(server: Emulator, redis_server: RedisServer):
    """An answer from another worker counts no longer than there."""
    one, two = [
        Company(server, secret_server_key=server.secret_server_key, redis_url=redis_server.url) for _ in range(2)
    ]
    await one.create_team()
    for worker in (one, two):
        add_routes(worker.app)
    key_id, key = await user_key(one)
    await ask(one, "/robots", key)
    await one.admin.user_api_keys.update(key_id, ApiKeyUpdate(revoked=True), user_id=one.boss.user_id)
    server.clock.advance(8)
    assert (await ask(two, "/robots", key)).status_code == 200
    server.clock.advance(3)  # eleven seconds after the one check, three after the second worker heard of it
    await two.stack.services.storage.remove(f"api-key:user:{hashlib.sha256(key.encode()).hexdigest()}")
    assert (await ask(two, "/robots", key)).status_code == 401
    for worker in (one, two):
        await worker.stack.aclose()
        await worker.admin.aclose()


async def test_a_worker_of_team_keys_alone_hears_what_others_say(server: Emulator, redis_server: RedisServer):
    company = Company(server, secret_server_key=server.secret_server_key, redis_url=redis_server.url)
    await company.create_team()
    add_routes(company.app)
    key = (await company.admin.team_api_keys.create(NEVER, team_id=company.team_id)).value
    assert (await ask(company, "/team", key)).status_code == 200
    assert company.stack.revocations.state == "connected"
    await company.stack.aclose()
    await company.admin.aclose()
