"""Lists of users: pages and their cursors in each profile, the cap, order, search and excluded domains."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth.emulator.searching import contains

from .api import Api, assert_rejected

SERVER = {"access": "server"}


async def fill(api: Api, count: int = 3) -> list[str]:
    """Make users, one a second; return their ids."""
    made = []
    for number in range(count):
        body = {"primary_email": f"user{number}@example.com", "display_name": f"N{number}"}
        made.append((await api.post("/users", body, **SERVER)).json()["id"])
        api.emulator.clock.advance(1)
    return made


async def page(api: Api, query: str) -> tuple[list[str], Any]:
    """Return the ids of a page and its cursor."""
    answer = await api.get(f"/users?{query}", **SERVER)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]], answer.json()["pagination"]["next_cursor"]


async def test_a_page_begins_after_its_cursor(api: Api) -> None:
    made = await fill(api)
    assert await page(api, "limit=2") == (made[:2], made[1])
    assert await page(api, f"limit=2&cursor={made[1].upper()}") == (made[2:], None)
    assert await page(api, f"limit=1&cursor={made[2]}") == ([], None)


async def test_in_april_a_page_began_at_its_cursor(april: Api) -> None:
    made = await fill(april)
    assert await page(april, "limit=2") == (made[:2], made[2])
    assert await page(april, f"limit=2&cursor={made[2]}") == (made[2:], None)


async def test_a_page_has_a_thousand_users_at_most(api: Api) -> None:
    project = api.emulator.project_id
    for _ in range(1000):
        api.emulator.store.users.create(project, {})
    items, cursor = await page(api, "")
    assert (len(items), cursor) == (1000, None)
    api.emulator.store.users.create(project, {})
    answer = await api.get("/users", **SERVER)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert "limit" in answer.text
    items, cursor = await page(api, "limit=1000")
    assert cursor == items[-1]
    assert len((await page(api, f"cursor={cursor}"))[0]) == 1
    assert_rejected(await api.get("/users?limit=1001", **SERVER), 400, "SCHEMA_ERROR")


async def test_in_april_there_was_no_cap(april: Api) -> None:
    for _ in range(1001):
        april.emulator.store.users.create(april.emulator.project_id, {})
    assert len((await page(april, ""))[0]) == len((await page(april, "limit=5000"))[0]) == 1001


@pytest.mark.parametrize(
    ("profile", "told"), [("newest", "at least 1 and at most 1000"), ("april-2026", "at least 1\n")]
)
async def test_a_limit_that_is_none_is_told_the_bounds_that_there_are(
    api: Api, april: Api, profile: str, told: str
) -> None:
    answer = await {"newest": api, "april-2026": april}[profile].get("/users?limit=0", access="server")
    assert f"query.limit must be {told}" in answer.json()["error"] + "\n"


async def test_users_come_in_order_of_their_activity(api: Api, april: Api) -> None:
    made = await fill(api)
    api.emulator.store.users.update(made[0], {"last_active_at": api.emulator.clock.millis()})
    assert (await page(api, "order_by=last_active_at"))[0] == [made[1], made[2], made[0]]
    assert (await page(api, "order_by=last_active_at&desc=true"))[0] == [made[0], made[2], made[1]]
    assert (await page(api, "order_by=signed_up_at"))[0] == made
    assert (await april.get("/users?order_by=last_active_at", **SERVER)).json()["code"] == "SCHEMA_ERROR"


async def test_domains_can_be_left_out(api: Api, april: Api) -> None:
    made = await fill(api)
    bodies: list[dict[str, str]] = [{"primary_email": "a@mail.example.com"}, {"primary_email": "b@OTHER.example"}, {}]
    for body in bodies:
        made.append((await api.post("/users", body, **SERVER)).json()["id"])
        api.emulator.clock.advance(1)
    assert (await page(api, "excluded_email_domains="))[0] == made
    assert (await page(api, "excluded_email_domains=EXAMPLE.com"))[0] == made[3:]
    assert (await page(api, "excluded_email_domains=@example.com,%20other.example"))[0] == [made[3], made[5]]
    assert (await april.get("/users?excluded_email_domains=x", **SERVER)).json()["code"] == "SCHEMA_ERROR"


@pytest.mark.parametrize(("text", "found"), [("%25", 3), ("user_@", 3), ("r1%25com", 1), ("1%25user", 0), ("___", 3)])
async def test_a_search_has_the_wildcards_of_sql(api: Api, text: str, found: int) -> None:
    await fill(api)
    assert len((await page(api, f"query={text}"))[0]) == found


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_one_user_may_be_asked_for_with_what_a_list_takes(api: Api, method: str) -> None:
    [user_id] = await fill(api, 1)
    body: dict[str, str] | None = {} if method == "PATCH" else None
    answer = await api.call(method, f"/users/{user_id}?include_anonymous=true&limit=1", body, **SERVER)
    assert answer.status_code == 200
    assert_rejected(await api.call(method, f"/users/{user_id}?foo=1", body, **SERVER), 400, "SCHEMA_ERROR")


def matches(value: str, text: str) -> bool:
    """Return what SQL's LIKE says, by its definition."""
    if not text:
        return True
    if text[0] == "%":
        return any(matches(value[start:], text[1:]) for start in range(len(value) + 1))
    return bool(value) and text[0] in ("_", value[0]) and matches(value[1:], text[1:])


@given(st.text("ab", max_size=8), st.text("ab%_", max_size=5))
def test_wildcards_mean_what_they_mean_in_sql(value: str, text: str) -> None:
    assert contains(value, text) == matches(value, f"%{text}%")
