"""Whatever the auth server answers to whatever operation: a typed value, or one of our errors."""

import asyncio
import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are another package
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import SERVER_CODES, AuthServerError, KnownApiError, StackAuthError
from fastapi_stackauth.http.handlers import error_response
from fastapi_stackauth.http.responses import DETAIL_SCHEMAS
from tests.client.fakes import settings
from tests.client.table import PERSONS, SERVERS, success
from tests.fuzz.server import ANSWERS, HEADERS, Answer, RawServer
from tests.fuzz.strategies import EDITS, edit, to_bytes

ACTS = {**PERSONS, **SERVERS}
OPERATIONS = st.sampled_from(sorted(ACTS))


async def outcome(operation: str, answer: Answer) -> object:
    """What an operation makes of an answer."""
    keys = {"publishable_client_key": "pck", "secret_server_key": "ssk"}
    client = StackAuthClient(settings(timeout=20, **keys), transport=RawServer(answer).transport)
    client._transport._sleep = no_pause
    async with client:
        try:
            return await ACTS[operation](client.as_user("a.b.c") if operation in PERSONS else client.as_server())
        except StackAuthError as error:
            return error


async def no_pause(seconds: float) -> None:
    assert 0 <= seconds <= 3600


def check(found: object) -> None:
    """It can be shown, written and, being an error, answered."""
    assert isinstance(repr(found), str)
    if isinstance(found, AuthServerError):
        assert isinstance(str(found), str)
        check_problem(found)
    elif isinstance(found, BaseModel):
        found.model_dump_json()
    elif isinstance(found, tuple | list):
        for item in found:
            check(item)


def check_problem(error: StackAuthError) -> None:
    response = error_response(error)
    document = json.loads(bytes(response.body), parse_constant=lambda name: 1 / 0)
    assert set(document) <= {"type", "title", "status", "detail", "code", "instance", "details"}
    assert document["status"] == response.status_code
    assert 400 <= response.status_code < 600
    assert document["title"]
    for name, value in document.get("details", {}).items():
        jsonschema.validate(value, DETAIL_SCHEMAS[name])
    assert all(value.isascii() and "\n" not in value for value in response.headers.values())


@given(OPERATIONS, ANSWERS)
def test_any_bytes_are_a_value_or_a_typed_error(operation: str, answer: Answer):
    check(asyncio.run(outcome(operation, answer)))


@given(OPERATIONS, EDITS, HEADERS)
def test_an_answer_that_is_almost_right_is_too(operation: str, edits: Any, headers: Any):
    check(asyncio.run(outcome(operation, (200, headers, to_bytes(edit(success(operation), edits))))))


@given(
    st.sampled_from(sorted(SERVER_CODES)),
    st.integers(400, 599),
    st.dictionaries(st.sampled_from(sorted(DETAIL_SCHEMAS)), EDITS.map(lambda edits: edit(None, edits)), max_size=3),
)
@example("RESTRICTED_USER_NOT_ALLOWED", 403, {"restricted_reason": {"type": "email_not_verified"}})
@example("PASSWORD_TOO_SHORT", 430, {"min_length": float("nan")})
@example("TEAM_PERMISSION_REQUIRED", 401, {"permission_id": "\ud800"})
def test_any_details_of_any_code_make_a_problem_document(code: str, status: int, details: Any):
    check_problem(KnownApiError.of(code, status, details))
