"""The routes of a router, as OpenAPI tells of them, with requests that fit."""

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from tests.routers.callers import PASSWORD
from tests.support.openapi import inline_references

NOTHING = "7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11"
VALUES: dict[str, Any] = {
    "email": "new@example.com",
    "value": "new@example.org",
    "display_name": "Red team",
    "description": "backup script",
    "password": PASSWORD,
    "old_password": PASSWORD,
    "new_password": PASSWORD,
    "code": "0" * 45,
    "refresh_token": "0" * 45,
    "credential": {"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "e30"}},
    "redirect_uri": "http://127.0.0.1:7777/back",
    "state": "state-state-state",
    "code_challenge": "c" * 43,
    "code_verifier": "v" * 43,
    "attempt": "0" * 45,
    "user_code": "BCDF-GHJK",
    "secret": "A" * 32,
}
SIX_DIGITS = ("mfa_sign_in", "mfa_confirm")


@dataclass(frozen=True)
class Route:
    """One operation of a router.

    Attributes:
        path: below the router's prefix, with its parameters' names.
        required: the fields that its JSON body must have.
        takes_json: whether it has a JSON body.
        page: whether it answers people with pages.
        secured: whether somebody must be signed in.
        oauth: whether OAuth clients call it.
        codes: the codes that it is documented to answer.
    """

    method: str
    path: str
    operation_id: str
    required: tuple[str, ...]
    takes_json: bool
    page: bool
    secured: bool
    oauth: bool
    codes: frozenset[str]

    @property
    def concrete(self) -> str:
        """The path with ids that fit but belong to nothing."""
        values = {"{provider}": "github", "{flow}": "f" * 43, "{permission_id}": "notes:delete"}
        values |= {
            f"{{{name}_id}}": NOTHING for name in ("session", "channel", "team", "user", "invitation", "api_key")
        }
        path = self.path
        for name, value in values.items():
            path = path.replace(name, value)
        return path

    @property
    def body(self) -> dict[str, Any] | None:
        """A body with the required fields."""
        values = {**VALUES, "code": "123456"} if self.operation_id.endswith(SIX_DIGITS) else VALUES
        return {name: values[name] for name in self.required} if self.takes_json else None


_KNOWN: dict[tuple[object, str], list[Route]] = {}


def operations(app: FastAPI, prefix: str) -> list[Route]:
    """Every route of the router under a prefix, but those for OAuth clients: device/test_device.py has their rules."""
    return [route for route in all_operations(app, prefix) if not route.oauth]


def all_operations(app: FastAPI, prefix: str) -> list[Route]:
    """Every route of the router under a prefix."""
    alike = getattr(app.state, "alike", None)
    if alike is None:
        return _read_schema(app, prefix)
    if (alike, prefix) not in _KNOWN:
        _KNOWN[alike, prefix] = _read_schema(app, prefix)
    return _KNOWN[alike, prefix]


def _read_schema(app: FastAPI, prefix: str) -> list[Route]:
    schema = inline_references(app.openapi())
    return [
        _route(schema, method.upper(), path.removeprefix(prefix), operation)
        for path, methods in schema["paths"].items()
        if path.startswith(prefix + "/")
        for method, operation in methods.items()
    ]


def _route(schema: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Route:
    content = operation.get("requestBody", {}).get("content", {})
    model = content.get("application/json", {}).get("schema", {})
    if "$ref" in model:
        model = schema["components"]["schemas"][model["$ref"].rpartition("/")[2]]
    answers = [answer.get("content", {}) for answer in operation["responses"].values()]
    return Route(
        method=method,
        path=path,
        operation_id=operation["operationId"],
        required=tuple(model.get("required", ())),
        takes_json="application/json" in content,
        page="200" in operation["responses"] and "text/html" in operation["responses"]["200"].get("content", {}),
        secured=bool(operation.get("security")),
        oauth="/device/" in path and not operation.get("security"),
        codes=frozenset(
            code for answer in answers for code in answer.get("application/problem+json", {}).get("examples", {})
        ),
    )
