"""Sign-in of command-line tools: start, poll, complete."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from fastapi_stackauth.emulator.store import cli_logins

from .api import Api, assert_rejected

MINUTE = 60 * 1000


async def start(api: Api, **body: Any) -> dict[str, Any]:
    answer = await api.post("/auth/cli", body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def poll(api: Api, login: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await api.post("/auth/cli/poll", {"polling_code": login["polling_code"]})
    return answer.status_code, answer.json()


async def complete(api: Api, login: dict[str, Any], **body: Any) -> tuple[int, Any]:
    answer = await api.post("/auth/cli/complete", {"login_code": login["login_code"], **body})
    is_json = answer.headers["content-type"].startswith("application/json")
    return answer.status_code, answer.json() if is_json else answer.text


async def sign_up_anonymous(api: Api) -> dict[str, Any]:
    return dict((await api.post("/auth/anonymous/sign-up")).json())


async def test_the_tool_gets_the_session_of_the_browser_once(api: Api) -> None:
    """A poll waits until the browser completes the sign-in, returns its refresh token with 201, and then `used`."""
    token, login = (await api.sign_up())["refresh_token"], await start(api)
    assert {len(login["polling_code"]), len(login["login_code"])} == {45}
    assert await poll(api, login) == (200, {"status": "waiting"})
    assert await complete(api, login, mode="check", refresh_token="nope") == (200, {"cli_session_state": "none"})
    assert await complete(api, login, refresh_token=token) == (200, {"success": True})
    for mode in ("check", "claim-anon-session", "complete"):
        assert (await complete(api, login, mode=mode, refresh_token=token))[0] == 400
    assert await poll(api, login) == (201, {"status": "success", "refresh_token": token})
    assert await poll(api, login) == (200, {"status": "used"})
    assert (await api.refresh(token)).status_code == 200


async def test_of_two_polls_at_once_one_gets_the_token(api: Api) -> None:
    token, login = (await api.sign_up())["refresh_token"], await start(api)
    await complete(api, login, refresh_token=token)
    polls = await asyncio.gather(*[poll(api, login) for _ in range(8)])
    assert sorted(status for status, _ in polls) == [200] * 7 + [201]


async def test_of_two_completions_at_once_one_succeeds(api: Api) -> None:
    token, login = (await api.sign_up())["refresh_token"], await start(api)
    done = await asyncio.gather(*[complete(api, login, refresh_token=token) for _ in range(8)])
    assert sorted(status for status, _ in done) == [200] + [400] * 7


async def test_a_poll_needs_the_polling_code_as_it_is(api: Api) -> None:
    login = await start(api)
    for code in ("nope", login["login_code"], login["polling_code"].upper()):
        assert_rejected(await api.post("/auth/cli/poll", {"polling_code": code}), 400, "INVALID_POLLING_CODE")
    assert_rejected(await api.post("/auth/cli/poll"), 400, "SCHEMA_ERROR")


async def test_completing_needs_a_running_session(api: Api) -> None:
    """An unknown, ended or missing refresh token leaves the sign-in waiting."""
    signed_up, login = await api.sign_up(), await start(api)
    await api.delete("/auth/sessions/current", token=signed_up["access_token"])
    for body in ({}, {"refresh_token": ""}, {"refresh_token": "nope"}, {"refresh_token": signed_up["refresh_token"]}):
        assert (await complete(api, login, **body))[0] == 400
    assert await poll(api, login) == (200, {"status": "waiting"})


async def test_only_april_completes_for_restricted_users(api: Api, april: Api) -> None:
    """The newest server rejects the session of an anonymous or restricted user; version 2.8.86 took any."""
    for each in (api, april):
        restricted = await each.sign_up()
        body = {"restricted_by_admin": True}
        await each.patch(f"/users/{restricted['user_id']}", body, access="server")
        for user, reason in ((await sign_up_anonymous(each), "anonymous"), (restricted, "restricted_by_administrator")):
            login = await start(each)
            status, answer = await complete(each, login, refresh_token=user["refresh_token"])
            if each is april:
                assert (status, answer) == (200, {"success": True})
                continue
            assert (status, answer["code"]) == (403, "RESTRICTED_USER_NOT_ALLOWED")
            assert answer["details"] == {"restricted_reason": {"type": reason}}
            assert await poll(each, login) == (200, {"status": "waiting"})


async def test_a_poll_hands_out_a_session_that_ended_meanwhile(api: Api) -> None:
    signed_up, login = await api.sign_up(), await start(api)
    await complete(api, login, refresh_token=signed_up["refresh_token"])
    await api.delete("/auth/sessions/current", token=signed_up["access_token"])
    status, body = await poll(api, login)
    assert status == 201
    assert_rejected(await api.refresh(body["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")


async def test_lifetimes_are_those_of_the_profile(api: Api, april: Api) -> None:
    """Without a lifetime the profile's is used, and a longer one than it allows is a SCHEMA_ERROR."""
    for each, longest, default in ((api, 15, 2), (april, 24 * 60, 120)):
        now = each.emulator.clock.now()
        logins = [await start(each), await start(each, expires_in_millis=longest * MINUTE)]
        left = [datetime.fromisoformat(login["expires_at"]).timestamp() - now for login in logins]
        assert left == pytest.approx([default * 60, longest * 60], abs=30)
        too_long = await each.post("/auth/cli", {"expires_in_millis": longest * MINUTE + 1})
        assert (too_long.status_code, too_long.json()["code"]) == (400, "SCHEMA_ERROR")


@pytest.mark.parametrize("lifetime", [0, -1, "-5", -1e15])
async def test_a_sign_in_without_a_lifetime_is_expired_at_once(api: Api, lifetime: object) -> None:
    answer = await api.post("/auth/cli", {"expires_in_millis": lifetime})
    if lifetime == -1e15:  # the real server returns 500
        assert_rejected(answer, 400, "SCHEMA_ERROR")
        return
    assert await poll(api, answer.json()) == (200, {"status": "expired"})


async def test_in_april_expired_comes_before_used(api: Api, april: Api) -> None:
    """What was completed or used in time is expired later; the newest server still says used."""
    for each, state in ((april, "expired"), (api, "used")):
        token = (await each.sign_up())["refresh_token"]
        completed, used = await start(each), await start(each)
        for login in (completed, used):
            await complete(each, login, refresh_token=token)
        assert (await poll(each, used))[0] == 201
        each.emulator.clock.advance(2 * 60 * 60)
        assert await poll(each, completed) == (200, {"status": "expired"})
        assert await poll(each, used) == (200, {"status": state})
        assert (await complete(each, completed, refresh_token=token))[0] == 400


async def test_the_browser_takes_an_anonymous_session_once(api: Api) -> None:
    """Taking the session of the tool completes nothing; the check then finds none."""
    anonymous = await sign_up_anonymous(api)
    login = await start(api, anon_refresh_token=anonymous["refresh_token"])
    assert await complete(api, login, mode="check") == (200, {"cli_session_state": "anonymous"})
    status, taken = await complete(api, login, mode="claim-anon-session")
    assert (status, taken["refresh_token"]) == (200, anonymous["refresh_token"])
    me = await api.me(taken["access_token"], allow_anonymous_user="true")
    assert me.json()["id"] == anonymous["user_id"]
    assert (await complete(api, login, mode="claim-anon-session"))[0] == 400
    assert await complete(api, login, mode="check") == (200, {"cli_session_state": "none"})
    assert await poll(api, login) == (200, {"status": "waiting"})


async def test_of_two_claims_at_once_one_gets_the_session(api: Api) -> None:
    anonymous = await sign_up_anonymous(api)
    login = await start(api, anon_refresh_token=anonymous["refresh_token"])
    claims = await asyncio.gather(*[complete(api, login, mode="claim-anon-session") for _ in range(8)])
    assert sorted(status for status, _ in claims) == [200] + [400] * 7


async def test_only_an_anonymous_session_may_be_brought(api: Api) -> None:
    full = await api.sign_up()
    for token in ("nope", full["refresh_token"]):
        answer = await api.post("/auth/cli", {"anon_refresh_token": token})
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    login = await start(api, anon_refresh_token="")
    assert (await complete(api, login, mode="claim-anon-session"))[0] == 400


async def test_a_deleted_anonymous_user_leaves_nothing_to_take(api: Api) -> None:
    anonymous = await sign_up_anonymous(api)
    login = await start(api, anon_refresh_token=anonymous["refresh_token"])
    await api.delete(f"/users/{anonymous['user_id']}", access="server")
    assert await complete(api, login, mode="check") == (200, {"cli_session_state": "none"})
    assert (await complete(api, login, mode="claim-anon-session"))[0] == 400


async def test_a_project_keeps_a_bounded_number_of_sign_ins(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new sign-in replaces the oldest, and those that expired a day ago are forgotten."""
    monkeypatch.setattr(cli_logins, "MOST", 3)
    logins = [await start(api) for _ in range(4)]
    unknown = await api.post("/auth/cli/poll", {"polling_code": logins[0]["polling_code"]})
    assert_rejected(unknown, 400, "INVALID_POLLING_CODE")
    assert await poll(api, logins[1]) == (200, {"status": "waiting"})
    api.emulator.clock.advance(24 * 3600 + 121)
    newest = await start(api)
    rows = api.emulator.store.cli_logins.list_for_project(api.emulator.project_id, 10)
    assert [row["login_code"] for row in rows] == [newest["login_code"]]
