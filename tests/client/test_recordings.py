"""What a real server answered is read without loss: successes into their models, errors into their classes.

The recordings are read where the shared contract is present, which on CI it has to be; the facts derived from them are
read everywhere.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import BaseModel
from starlette.responses import Response

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.client import StackAuthClient as Client
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.response import ApiResponse, error_from_response
from fastapi_stackauth.errors import (
    MISCONFIGURATION_CODES,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    KnownApiError,
    OAuthTokenError,
    SignInRequired,
    UnexpectedResponse,
)
from fastapi_stackauth.models import ApiModel
from tests.support.rows import rows

from .fakes import FakeServer, json_response, settings
from .table import API, DATA, PERSONS, SERVERS, Act

SHARED = Path(__file__).parents[2] / ".." / "shared" / "contract" / "recordings"
ALL = {**PERSONS, **SERVERS}
SOURCES = ["derived", *(["recorded"] if SHARED.is_dir() or "CI" in os.environ else [])]
"""The committed data; and what it is derived from, which a newcomer's clone does not have, and CI must have."""
AREAS = sorted(path.stem for path in (DATA / "exchanges").glob("*.json"))
M = TypeVar("M", bound=BaseModel)


class Witness(StackAuthClient):
    """A client that keeps the models its methods read."""

    read: list[BaseModel]

    async def fetch(self, request: ApiRequest, model: type[M]) -> M:
        result = await super().fetch(request, model)
        self.read.append(result)
        return result


def exchanges(area: str, source: str) -> list[dict[str, Any]]:
    if source == "derived":
        return list(json.loads((DATA / "exchanges" / f"{area}.json").read_text())["exchanges"])
    newer = SHARED.with_name("recordings_next") / f"{area}.json"
    return list(json.loads((newer if newer.is_file() else SHARED / f"{area}.json").read_text()))


def exchange_name(exchange: dict[str, Any]) -> str:
    return str(exchange["operation"]).replace(API, "", 1)


def find_act(exchange: dict[str, Any]) -> Act | None:
    body = exchange["request"].get("body")
    if exchange_name(exchange) == "POST /auth/oauth/token" and "authorization_code" not in str(body):
        return lambda client: client.oauth.refresh("r")
    return ALL.get(exchange_name(exchange))


async def read_by_client(exchange: dict[str, Any], act: Act) -> BaseModel:
    """The model that the operation's method read a recorded answer into."""
    server = FakeServer([json_response(exchange["response"]["body"], exchange["response"]["status"])])
    keys = {"publishable_client_key": "pck_1", "secret_server_key": "ssk_1"}
    client = Witness(settings(**keys), transport=httpx.ASGITransport(server))
    client.read = []
    access = exchange["request"]["headers"].get("x-stack-access-type")
    bound = client.as_server() if access in ("server", "admin") else client.as_user("a.b.c")
    await act(bound)
    return client.read[0]


@rows("source", SOURCES)
@rows("area", AREAS)
async def test_every_success_of_the_families_dumps_to_what_came(area: str, source: str):
    for exchange in exchanges(area, source):
        act, body = find_act(exchange), exchange["response"]["body"]
        if act is None or to_response(exchange).status >= 300 or not isinstance(body, dict):
            continue
        model = await read_by_client(exchange, act)
        assert isinstance(model, ApiModel)
        # as text, since to Python 1, 1.0 and True are equal
        assert json.dumps(model.to_json(), sort_keys=True) == json.dumps(body, sort_keys=True), exchange["name"]


def to_response(exchange: dict[str, Any]) -> ApiResponse:
    response = exchange["response"]
    body = response["body"]
    raw = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    return ApiResponse.from_http(response["status"], response["headers"], raw)


@rows("source", SOURCES)
@rows("area", AREAS)
def test_every_error_is_typed_with_code_status_and_details(area: str, source: str):
    """Every error becomes a typed one with the server s own code status and details."""
    for exchange in exchanges(area, source):
        if to_response(exchange).status >= 400:
            check_error(exchange)


def check_error(exchange: dict[str, Any]) -> None:
    answer = to_response(exchange)
    error = error_from_response(answer, exchange["operation"])
    body = exchange["response"]["body"]
    code = body.get("code") if isinstance(body, dict) else None
    name = exchange["name"]
    assert error is not None, name
    assert error.operation == exchange["operation"]
    if code in MISCONFIGURATION_CODES:
        assert isinstance(error, AuthServerMisconfigured), name
        assert code in error.message
    elif code is not None and not isinstance(error, SignInRequired):
        assert isinstance(error, KnownApiError), name
        assert (error.code, error.status_code, error.details) == (code, answer.status, body.get("details", {})), name
    elif code is not None:
        assert code in ("SCHEMA_ERROR", "CANNOT_GET_OWN_USER_WITHOUT_USER", "USER_AUTHENTICATION_REQUIRED"), name
    elif answer.status >= 500:
        assert isinstance(error, AuthServerUnavailable), name
        assert error.response_status == answer.status
    elif isinstance(body, dict):
        assert isinstance(error, OAuthTokenError), name
        assert (error.oauth_error, error.status_code) == (body["error"], answer.status)
    else:
        assert isinstance(error, UnexpectedResponse), name
        page = answer.headers.get("content-type", "").startswith("text/html")
        assert error.status_code == (502 if page else answer.status), name


def deleted_user_exchanges(source: str) -> Iterator[dict[str, Any]]:
    for exchange in exchanges("deleted-user", source):
        if exchange["request"]["headers"].get("x-stack-access-token") and exchange["response"]["status"] >= 400:
            yield exchange


async def test_every_call_of_a_deleted_user_is_one_error():
    """They have four forms on the wire (corrections.md A1, A8)."""
    seen = set()
    for exchange in deleted_user_exchanges("recorded"):
        act = ALL[exchange_name(exchange)]
        client = client_answering(exchange)
        if exchange_name(exchange) == "DELETE /auth/sessions/current":
            await act(client)
        else:
            with pytest.raises(SignInRequired):
                await act(client)
        seen.add(exchange_name(exchange))
    assert {"GET /users/me", "PATCH /users/me", "POST /auth/password/set", "DELETE /auth/sessions/current"} <= seen


def client_answering(exchange: dict[str, Any]) -> Client:
    """A client whose server answers as recorded, and to the question for sessions as to a deleted user's token."""
    gone = {"code": "CANNOT_GET_OWN_USER_WITHOUT_USER", "error": "words"}
    recorded = to_response(exchange)
    headers = {name: value for name, value in recorded.headers.items() if name.startswith("x-stack")}

    def answer(asked: Any) -> Response:
        if asked.operation == f"GET {API}/auth/sessions":
            return json_response(gone, 400)
        return Response(recorded.body, recorded.status, headers)

    return StackAuthClient(settings(), transport=httpx.ASGITransport(FakeServer(answer=answer))).as_user("a.b.c")
