"""The families are complete, and each method sends what the contract says of its operation."""

import inspect
import re
from typing import Any

from fastapi_stackauth.client.resources.base import Resource
from tests.support.rows import rows

from .fakes import FakeServer, json_response, make_client
from .table import API, FAMILIES, PERSONS, SERVER_WRITES, SERVERS, Act, contract, resource_classes, success

KEYS: dict[str, Any] = {"publishable_client_key": "pck_1", "secret_server_key": "ssk_1"}
ALL = {**PERSONS, **SERVERS}


def has_method_to_be(operation: dict[str, Any]) -> bool:
    return operation["area"] in FAMILIES and bool({"client", "server"} & set(operation["access_types"]))


def test_every_operation_with_client_access_has_a_method():
    """Every operation of the families that allows client or server has a method."""
    missing = [name for name, operation in contract().items() if has_method_to_be(operation) and name not in ALL]
    assert missing == []


def test_no_method_claims_an_unknown_operation():
    """No method claims an operation that the contract does not have."""
    assert [name for name in ALL if name not in contract()] == []


def test_every_method_of_every_family_is_tried_by_the_table():
    """Methods that only combine others, or give another form of them, are tried by tests of their own."""
    combining = {"check", "list_for_user", "fetch", "refresh", "authorize_url"}
    called = set()
    for act in [*ALL.values()]:
        code = inspect.unwrap(act).__code__
        called |= set(code.co_names)
    families = resource_classes().values()
    public = {name for family in families for name in vars(family) if not name.startswith("_")}
    assert all(issubclass(family, Resource) for family in families)
    assert public - called <= combining


def whose(name: str) -> str:
    return "server" if name in SERVERS else "client"


async def record_request(name: str, act: Act, **settings: Any):
    server = FakeServer([json_response(success(name, whose(name)))])
    client = make_client(server, **{**KEYS, **settings})
    bound = client.as_server() if name in SERVERS else client.as_user("a.b.c")
    await act(bound)
    assert len(server.asked) == 1
    return server.last


@rows("name", ALL)
async def test_a_method_sends_its_own_operation(name: str):
    asked = await record_request(name, ALL[name])
    method, template = name.split(" ")
    pattern = re.escape(API) + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
    assert asked.method == method
    assert re.fullmatch(pattern, asked.path), asked.path


@rows("name", ALL)
async def test_a_method_sends_the_fields_that_the_contract_names(name: str):
    """All that are required, and none that are unknown: the server refuses both faults."""
    operation = contract()[name]
    asked = await record_request(name, ALL[name])
    assert set(asked.query) <= set(operation["query"]), name
    assert {field for field, required in operation["query"].items() if required} <= set(asked.query)
    by_access_type = set(operation["body"]) & {"client", "server", "admin"}
    if operation["body"] and not by_access_type:
        assert set(asked.json) <= set(operation["body"])
        assert {field for field, required in operation["body"].items() if required} <= set(asked.json)


@rows("name", ALL)
async def test_only_operations_with_a_body_get_json(name: str):
    """An operation that wants a body gets json and the others get none."""
    asked = await record_request(name, ALL[name])
    if asked.method in ("POST", "PATCH"):
        assert asked.headers["content-type"] == "application/json"
        assert isinstance(asked.json, dict)
    else:
        assert asked.body == b""
        assert "content-type" not in asked.headers


@rows("name", ALL)
async def test_each_call_says_as_whom_it_is_made(name: str):
    """The headers of tokens.md §4; OAuth's own endpoints get none of them."""
    headers = (await record_request(name, ALL[name])).headers
    assert "x-stack-override-error-status" not in headers
    if contract()[name]["access_types"] == ["none"]:
        assert not [header for header in headers if header.startswith("x-stack")]
        return
    access = whose(name)
    assert headers["x-stack-access-type"] == access
    assert headers.get("x-stack-secret-server-key") == ("ssk_1" if access == "server" else None)
    assert headers.get("x-stack-publishable-client-key") == ("pck_1" if access == "client" else None)
    without_token = access == "server" or name.endswith("/current/refresh")
    assert headers.get("x-stack-access-token") == (None if without_token else "a.b.c")
    assert re.fullmatch(r"(\w+)\s+(@[\w/]+)@([\d.]+)", headers["x-stack-client-version"])


@rows("name", [*PERSONS, *SERVER_WRITES])
async def test_the_app_in_its_own_name_reaches_what_persons_reach(name: str):
    server = FakeServer([json_response(success(name, "server"))])
    await {**PERSONS, **SERVER_WRITES}[name](make_client(server, **KEYS).as_server())
    if contract()[name]["access_types"] != ["none"]:
        assert server.last.headers["x-stack-access-type"] == "server"


async def test_what_has_no_method_is_one_request_away():
    from fastapi_stackauth.models import ApiModel

    server = FakeServer([json_response({"items": [{"enabled": True}], "is_paginated": False})])
    answer = (
        await make_client(server, **KEYS)
        .as_user("a.b.c")
        .request("GET", "/emails/notification-preference/me", model=ApiModel, params={"a": "b&c"})
    )
    assert answer.to_json() == {"items": [{"enabled": True}], "is_paginated": False}
    assert server.last.path == "/api/v1/emails/notification-preference/me"
    assert server.last.query == {"a": "b&c"}
    assert server.last.headers["x-stack-access-token"] == "a.b.c"
