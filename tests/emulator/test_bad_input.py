"""Whatever a stranger sends, every endpoint answers with a refusal of its own, never with a fault."""

import contextlib
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastapi_stackauth.emulator import NEWEST, Emulator
from fastapi_stackauth.emulator.operations import OPERATIONS
from fastapi_stackauth.emulator.wire import Operation
from tests.support.rows import rows

from .api import Api, assert_rejected

VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**40, "", "x", "me", "\x00", "ü" * 300, "a@b.example", "http://[", "http://a:99999/",
    "http://localhost/ü\u2028", "0" * 45, [], [[]], {}, {"a": None}, "00000000-0000-4000-8000-000000000000",
    "A" * 100_000,
]  # fmt: skip
PLACES = ("00000000-0000-4000-8000-000000000000", "x%00", "%C3%BC", "%FF")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def build_path(operation: Operation, value: str) -> str:
    """Return an operation's path with a value in every place."""
    path = "/api/v1" + operation.path
    for name in operation.params:
        path = path.replace(f"{{{name}}}", value)
    return path


def list_names(operation: Operation) -> list[str]:
    """Return the fields that a body of an operation may have."""
    forms = [operation.body_form(access) for access in ("client", "server")]
    return sorted({name for form in forms if form for name in form.fields})


async def ask(api: Api, operation: Operation, path: str, body: Any, token: str, access: str) -> httpx.Response:
    headers = api.headers(access, token, refresh_token="x", allow_anonymous_user="true")
    return await api.http.request(operation.method, path, json=body, headers=headers)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
async def test_odd_values_in_every_field_are_refused(api: Api, operation: Operation) -> None:
    """Each value meets the caller's own path, and one of the other places in turn."""
    for number, value in enumerate(VALUES):
        token = api.emulator.issue_token(kind="anonymous")["access_token"]
        body = dict.fromkeys(list_names(operation), value)
        for access in ("client", "server"):
            for place in ("me", PLACES[number % len(PLACES)]):
                answer = await ask(api, operation, build_path(operation, place), body, token, access)
                assert answer.status_code < 500, (value, place, answer.text)
        query = httpx.QueryParams({name: str(value)[:500] for name in operation.query_fields(NEWEST)})
        answer = await ask(api, operation, f"{build_path(operation, 'me')}?{query}", body, token, "server")
        assert answer.status_code < 500, (value, answer.text)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(OPERATIONS), st.data())
async def test_made_up_bodies_are_refused(operation: Operation, data: st.DataObject) -> None:
    fields = st.sampled_from(list_names(operation) or ["x"])
    body = data.draw(st.dictionaries(fields | st.text(max_size=5), JSON, max_size=5) | JSON)
    access = data.draw(st.sampled_from(["client", "server"]))
    with contextlib.closing(Emulator()) as emulator:
        api = Api(emulator)
        async with api.http:
            token = emulator.issue_token()["access_token"]
            answer = await ask(api, operation, build_path(operation, "me"), body, token, access)
    assert answer.status_code < 500, answer.text


@rows("number", ["1e999", "-1e999", "NaN", "Infinity"])
@rows("field", ["client_metadata", "display_name"])
async def test_a_number_beyond_json_is_not_stored(api: Api, field: str, number: str) -> None:
    """A number that no json can hold is neither stored nor shown."""
    issued = api.emulator.issue_token()
    content = f'{{"{field}": {{"a": {number}}}}}' if field == "client_metadata" else f'{{"{field}": {number}}}'
    for path, access in (("me", "client"), (issued["user_id"], "server")):
        headers = {**api.headers(access, issued["access_token"]), "content-type": "application/json"}
        answer = await api.http.patch(f"/api/v1/users/{path}", content=content, headers=headers)
        assert_rejected(answer, 400, "BODY_PARSING_ERROR")
    assert (await api.get("/users", access="server")).json()["items"][0][field] is None


@rows("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
async def test_an_infinity_in_every_field_is_refused(api: Api, operation: Operation) -> None:
    headers = {**api.headers("server", api.emulator.issue_token()["access_token"]), "content-type": "application/json"}
    content = "{" + ", ".join(f'"{name}": 1e999' for name in list_names(operation)) + "}"
    answer = await api.http.request(operation.method, build_path(operation, "me"), content=content, headers=headers)
    assert answer.status_code < 500, answer.text


@rows("token", ["", ".", "..", "a.b.c", "e30.e30.e30", "e30.W10.", "é.é.é", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"])
async def test_odd_tokens_are_refused(api: Api, token: str) -> None:
    headers = {**api.headers("client"), "x-stack-access-token": token}
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = await api.http.get("/api/v1/users/me", headers=sent)
    assert answer.status_code in (400, 401)


async def test_a_token_nested_too_deeply_is_refused(api: Api) -> None:
    from fastapi_stackauth.emulator.keys import encode

    deep = encode(b"[" * 50_000)
    answer = await api.me(f"{deep}.{deep}.AAAA")
    assert answer.json()["code"] == "UNPARSABLE_ACCESS_TOKEN"


async def test_no_refusal_repeats_what_was_sent(api: Api) -> None:
    secret = "Correct-Horse-Battery-Staple"
    for operation in OPERATIONS:
        body = {name: [secret] for name in list_names(operation)} | {"extra": secret}
        token = api.emulator.issue_token()["access_token"]
        answer = await ask(api, operation, build_path(operation, "me"), body, token, "server")
        if answer.status_code >= 400:
            assert secret not in answer.text, operation.path
            assert secret not in json.dumps(dict(answer.headers)), operation.path
