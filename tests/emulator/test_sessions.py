"""Sessions: refreshing, listing, ending, and what survives of them."""

import pytest

from .api import Api, assert_rejected


async def test_a_refresh_token_stays_and_gives_access_tokens(api: Api) -> None:
    """A refresh token gives new access tokens and stays as it is."""
    signed_up = await api.sign_up()
    api.emulator.clock.advance(601)
    assert_rejected(await api.me(signed_up["access_token"]), 401, "ACCESS_TOKEN_EXPIRED")
    for _ in range(2):
        answer = await api.refresh(signed_up["refresh_token"])
        assert list(answer.json()) == ["access_token"]
        assert (await api.me(answer.json()["access_token"])).status_code == 200


async def test_refreshing_without_a_running_session_is_refused(api: Api) -> None:
    signed_up = await api.sign_up()
    assert_rejected(await api.post("/auth/sessions/current/refresh"), 400, "SCHEMA_ERROR")
    for token in ("", "nope", signed_up["access_token"]):
        assert_rejected(await api.refresh(token), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    api.emulator.clock.advance(365 * 24 * 3600)
    assert_rejected(await api.refresh(signed_up["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")


async def test_an_expired_access_token_beside_it_fails_first(api: Api) -> None:
    signed_up = await api.sign_up()
    api.emulator.clock.advance(601)
    how = {"token": signed_up["access_token"], "refresh_token": signed_up["refresh_token"]}
    assert_rejected(await api.post("/auth/sessions/current/refresh", **how), 401, "ACCESS_TOKEN_EXPIRED")


async def test_signing_out_ends_the_session_but_not_the_access_token(api: Api) -> None:
    signed_up = await api.sign_up()
    how = {"token": signed_up["access_token"]}
    assert (await api.delete("/auth/sessions/current", **how)).json() == {"success": True}
    assert_rejected(await api.refresh(signed_up["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert (await api.me(signed_up["access_token"])).status_code == 200
    assert_rejected(await api.delete("/auth/sessions/current", **how), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")


async def test_signing_out_without_a_token_is_an_expired_one(api: Api) -> None:
    details = assert_rejected(await api.delete("/auth/sessions/current"), 401, "ACCESS_TOKEN_EXPIRED")
    assert details["user_id"] is None


async def test_only_the_owner_lists_sessions_newest_first(api: Api) -> None:
    first = await api.sign_up()
    api.emulator.clock.advance(1)
    second = (await api.sign_in()).json()
    items = (await api.get("/auth/sessions?user_id=me", token=second["access_token"])).json()["items"]
    assert [item["is_current_session"] for item in items] == [True, False]
    assert items[0]["created_at"] > items[1]["created_at"]
    stranger = await api.sign_up("other@example.com")
    path = f"/auth/sessions?user_id={first['user_id']}"
    assert (await api.get(path, token=stranger["access_token"])).status_code == 403
    assert len((await api.get(path, access="server")).json()["items"]) == 2
    assert_rejected(await api.get("/auth/sessions", access="server"), 400, "SCHEMA_ERROR")
    assert_rejected(await api.get("/auth/sessions?user_id=me"), 400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


async def test_a_session_can_be_ended_from_another_but_not_from_itself(api: Api) -> None:
    first = await api.sign_up()
    second = (await api.sign_in()).json()
    items = (await api.get("/auth/sessions?user_id=me", token=first["access_token"])).json()["items"]
    ids = {item["is_current_session"]: item["id"] for item in items}
    how = {"token": first["access_token"]}
    assert_rejected(
        await api.delete(f"/auth/sessions/{ids[True]}?user_id=me", **how), 400, "CANNOT_DELETE_CURRENT_SESSION"
    )
    stranger = await api.sign_up("other@example.com")
    foreign = await api.delete(f"/auth/sessions/{ids[False]}?user_id=me", token=stranger["access_token"])
    assert foreign.status_code == 404
    assert_rejected(await api.delete(f"/auth/sessions/{ids[False]}", **how), 400, "SCHEMA_ERROR")
    assert (await api.delete(f"/auth/sessions/{ids[False]}?user_id=me", **how)).json() == {"success": True}
    assert_rejected(await api.refresh(second["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")


async def test_a_server_opens_sessions_for_anyone(api: Api) -> None:
    user_id = (await api.sign_up())["user_id"]
    body = {"user_id": user_id, "expires_in_millis": 1000, "is_impersonation": True}
    opened = (await api.post("/auth/sessions", body, access="server")).json()
    assert set(opened) == {"access_token", "refresh_token"}
    listed = [
        len((await api.get(f"/auth/sessions?user_id={user_id}", access=who)).json()["items"])
        for who in ("server", "admin")
    ]
    assert listed == [1, 2]
    api.emulator.clock.advance(1)
    assert_rejected(await api.refresh(opened["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")


@pytest.mark.parametrize("lifetime", [0, -1, 31_708_800_001, "soon", True])
async def test_a_session_lives_from_a_moment_to_367_days(api: Api, lifetime: object) -> None:
    user_id = (await api.sign_up())["user_id"]
    body = {"user_id": user_id, "expires_in_millis": lifetime}
    assert_rejected(await api.post("/auth/sessions", body, access="server"), 400, "SCHEMA_ERROR")


async def test_a_session_needs_a_user_who_exists(api: Api) -> None:
    body = {"user_id": "00000000-0000-4000-8000-000000000000"}
    assert_rejected(await api.post("/auth/sessions", body, access="server"), 400, "USER_ID_DOES_NOT_EXIST")
