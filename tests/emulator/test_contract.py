"""The emulator's forms are those of the derived facts: in April the contract's, in the newest profile more."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fastapi_stackauth.emulator import APRIL_2026, NEWEST
from fastapi_stackauth.emulator.operations import OPERATIONS
from fastapi_stackauth.emulator.wire import Operation

from .api import Api, assert_rejected

DATA = Path(__file__).parents[1] / "data"
TYPES: dict[str, type | tuple[type, ...]] = {"boolean": bool, "array": list, "object or null": (dict, type(None))}


def place(method: str, path: str) -> str:
    """Return what tells operations apart, whatever their path's parameters are called."""
    return f"{method} {re.sub('{[^}]*}', '{}', path.removeprefix('/api/v1'))}"


FACTS: dict[str, Any] = {
    place(each["method"], each["path"]): each
    for each in json.loads((DATA / "operations.json").read_text())["operations"]
}
POSTED_CALLBACK = "POST /auth/oauth/callback/{}"  # whose fields may come in the query or the body: both are open


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_each_query_is_what_the_facts_say(operation: Operation) -> None:
    name = place(operation.method, operation.path)
    facts = FACTS[name]
    if name == POSTED_CALLBACK:
        assert operation.open_query
        return
    assert set(operation.query_fields(APRIL_2026)) == set(facts["query"])
    assert set(operation.query_fields(NEWEST)) == {*facts["query"], *facts.get("newest", {}).get("query", [])}


async def test_the_newest_project_has_the_fields_of_the_facts(api: Api) -> None:
    shown = (await api.get("/projects/current")).json()
    for path, kind in FACTS["GET /projects/current"]["newest"]["response"].items():
        value = shown
        for name in path.split("."):
            value = value[name]
        assert isinstance(value, TYPES[kind]), path


async def test_the_newest_details_are_those_of_the_facts(api: Api) -> None:
    errors = json.loads((DATA / "known_errors.json").read_text())["errors"]
    [expected] = [error["newest_details"] for error in errors if "newest_details" in error]
    body = {"email": "ada@example.com", "callback_url": "https://evil.example/"}
    answer = await api.post("/auth/otp/send-sign-in-code", body)
    assert sorted(assert_rejected(answer, 400, "REDIRECT_URL_NOT_WHITELISTED")) == expected
