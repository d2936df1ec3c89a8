"""No privilege by accident (design decision 15): a secret key alone widens nothing that people may write or read."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastapi_stackauth.emulator.views import server_user
from tests.routers.callers import EMAIL, PASSWORD, PREFIXES, House, Person, assert_problem
from tests.routers.operations import Route, operations

SCHEMAS = json.loads((Path(__file__).parents[1] / "data" / "operations.json").read_text("utf-8"))["schemas"]


def fields(schema: str) -> set[str]:
    return set(SCHEMAS[schema]["fields"])


READ_BY_SERVERS = fields("users.server.read") - fields("current_user.client.read")
WRITTEN_BY_SERVERS: dict[str, Any] = {
    "primary_email_verified": True,
    "primary_email_auth_enabled": True,
    "client_read_only_metadata": {"plan": "gold"},
    "server_metadata": {"admin": True},
    "password": PASSWORD,
    "password_hash": "$2b$10$abcdefghijklmnopqrstuu3yT7Y1CPAUsqYp9iCuzS9tUPVHfXKFq",
    "restricted_by_admin": False,
    "restricted_by_admin_reason": None,
    "restricted_by_admin_private_details": None,
    "country_code": "DE",
    "risk_scores": {"sign_up": {"bot": 0, "free_trial_abuse": 0}},
    "is_anonymous": False,
    "is_verified": True,
    "user_id": "7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11",
    "expires_in_millis": 1,
    "is_impersonation": True,
    "totp_secret_base64": "QUFBQQ==",
    "primary_email": "eve@example.com",
    "id": "7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11",
}
"""What only a server may send, or what no route of ours takes."""


def ends_the_test(route: Route) -> bool:
    """Whether a route takes nothing and would end the account or the session."""
    return not route.takes_json and route.path in ("/me", "/sign-out", "/anonymous/sign-up")


def attempts(route: Route) -> list[dict[str, Any]]:
    """Return what to send to a route: each field alone; all at once if the route reads no JSON body."""
    fields_sent = {name: value for name, value in WRITTEN_BY_SERVERS.items() if name not in route.required}
    return [{name: value} for name, value in fields_sent.items()] if route.takes_json else [fields_sent]


def state(house: House, user_id: str) -> dict[str, Any]:
    """What the auth server knows of a user, as its own server sees them, times left out."""
    store, project = house.server.store, house.server.project
    user = store.users.get(project.id, user_id)
    assert user is not None
    return {name: value for name, value in server_user(store, project, user).items() if not name.endswith("_millis")}


async def test_server_only_fields_are_rejected_or_ignored(keyed_house: House, person: Person):
    """Every server only field on every route is refused or ignored."""
    keyed = keyed_house
    async with keyed.person(person.delivery) as victim:
        user_id = await victim.sign_up()
        before = state(keyed, user_id)
        for route in operations(keyed.app, PREFIXES[victim.delivery]):
            if route.method == "GET" or ends_the_test(route):
                continue
            for fields_sent in attempts(route):
                answer = await victim.call(route.method, route.concrete, {**(route.body or {}), **fields_sent})
                assert answer.status_code >= 400 or not route.takes_json, f"{route.path} took {fields_sent}"
                assert not _names(answer) & (READ_BY_SERVERS | {"server_metadata"})
        assert state(keyed, user_id) == before


async def test_no_answer_shows_what_only_servers_read(keyed_house: House, person: Person):
    keyed = keyed_house
    assert {"server_metadata", "last_active_at_millis", "risk_scores"} <= READ_BY_SERVERS
    async with keyed.person(person.delivery) as owner:
        user_id = await owner.sign_up()
        keyed.server.store.users.update(user_id, {"server_metadata": '{"secret": "plan"}', "country_code": "DE"})
        shown = [
            await owner.call("GET", "/me"),
            await owner.call("PATCH", "/me", {"display_name": "Ada"}),
            await owner.call("GET", "/sessions"),
            await owner.call("GET", "/contact-channels"),
            await owner.call("GET", "/methods"),
        ]
        for answer in shown:
            assert answer.status_code == 200
            assert not _names(answer) & READ_BY_SERVERS
            assert "plan" not in answer.text


async def test_the_account_looks_the_same_whichever_key_is_configured(house: House, keyed_house: House, person: Person):
    await person.sign_up()
    with_publishable = (await person.call("GET", "/me")).json()
    async with keyed_house.person(person.delivery) as same:
        await same.sign_in()
        assert (await same.call("GET", "/me")).json() == with_publishable
        changed = (await same.call("PATCH", "/me", {"display_name": "Ada"})).json()
    assert changed == {**with_publishable, "display_name": "Ada"}
    assert set(changed) == fields("current_user.client.read")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/sessions/{id}"),
        ("DELETE", "/contact-channels/{id}"),
        ("POST", "/contact-channels/{id}/make-primary"),
    ],
)
async def test_a_secret_key_lets_nobody_touch_what_is_somebody_elses(
    keyed_house: House, person: Person, method: str, path: str
):
    async with keyed_house.person(person.delivery) as eve, keyed_house.person("body") as ada:
        await eve.sign_up("eve@example.com")
        await ada.sign_up(EMAIL)
        listed = "/sessions" if "sessions" in path else "/contact-channels"
        (before,) = (await ada.call("GET", listed)).json()
        answer = await eve.call(method, path.format(id=before["id"]))
        assert answer.status_code in (400, 403, 404)
        assert_problem(answer, answer.status_code, "auth_server_rejected")
        (after,) = (await ada.call("GET", listed)).json()
        assert after["id"] == before["id"]


def _names(answer: Any) -> set[str]:
    """Every member's name, at any depth, of a JSON answer."""
    if not answer.content or "json" not in answer.headers.get("content-type", ""):
        return set()
    found: set[str] = set()
    waiting: list[object] = [answer.json()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found |= set(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found
