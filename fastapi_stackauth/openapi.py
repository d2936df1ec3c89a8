"""What protected routes say of themselves in OpenAPI. A pure function from schema to schema.

FastAPI writes `security` where our `SecurityBase` objects stand; here the answers that such routes can give are added.
What the app wrote itself wins.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from fastapi_stackauth.errors import (
    AuthError,
    AuthServerMisconfigured,
    StackAuthError,
    VerificationUnavailable,
)
from fastapi_stackauth.problems import PROBLEM_MEDIA_TYPE, problem
from fastapi_stackauth.schemes import OPTIONAL_SCHEME_NAME, SCHEME_NAME

Schema = dict[str, Any]

PROBLEM_NAME = "StackAuthProblem"
"""Distinct on purpose: an app may well have a `Problem` of its own."""

DETAIL_SCHEMA: Schema = {
    "title": PROBLEM_NAME,
    "description": "An error, in FastAPI's own shape.",
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string", "description": "One sentence for people."}},
}

PROBLEM_SCHEMA: Schema = {
    "title": PROBLEM_NAME,
    "description": "An error (RFC 9457). `code` is stable and made for programs; the texts are for people.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "What kind of problem this is."},
        "title": {"type": "string", "description": "The HTTP status in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "One sentence for people."},
        "code": {"type": "string", "description": "A stable name for programs."},
        "details": {"type": "object", "description": "Facts about this problem.", "additionalProperties": True},
    },
}

_UNAUTHENTICATED = (
    AuthError("authentication_required"),
    AuthError("token_expired"),
    AuthError("token_signature_invalid"),
    AuthError("token_malformed"),
)
_FORBIDDEN = (
    AuthError("anonymous_not_allowed"),
    AuthError("restricted_not_allowed", details={"restricted_reason": "email_not_verified"}),
)
_ANSWERS: dict[str, tuple[str, tuple[StackAuthError, ...]]] = {
    "401": ("No credential, or one that is not accepted.", _UNAUTHENTICATED),
    "403": ("Signed in, but not allowed to do this.", _FORBIDDEN),
    "502": ("The auth server does not accept this app's configuration.", (AuthServerMisconfigured(),)),
    "503": ("The sign-in cannot be checked right now.", (VerificationUnavailable(),)),
}


def problem_answer(description: str, errors: tuple[StackAuthError, ...]) -> Schema:
    """An OpenAPI response with one example for each error."""
    examples = {error.code: {"summary": error.message, "value": problem(error)} for error in errors}
    content: Schema = {"schema": {"$ref": f"#/components/schemas/{PROBLEM_NAME}"}, "examples": examples}
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: content}}


def enrich(schema: Schema, shape: str = "problem") -> Schema:
    """The schema with what protected routes can answer, and with optional security where it is optional.

    Args:
        schema: as FastAPI makes it; it is left alone.
        shape: how errors are answered, ``problem`` or ``detail``.
    """
    enriched = deepcopy(schema)
    for operation in _operations(enriched):
        if _ours(operation):
            _add_answers(operation)
            operation["security"] = _alternatives(operation["security"])
    components = enriched.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.setdefault(PROBLEM_NAME, PROBLEM_SCHEMA if shape == "problem" else DETAIL_SCHEMA)
    if shape == "detail":
        for operation in _operations(enriched):
            _as_details(operation)
    _merge_schemes(components.get("securitySchemes", {}))
    return enriched


class EnrichedOpenApi:
    """An app's `openapi()` with what this library adds; the app's own function and its cache keep working."""

    def __init__(self, original: Callable[[], Schema], shape: str) -> None:
        self._original = original
        self._shape = shape
        self._source: Schema | None = None
        self._enriched: Schema = {}

    def __call__(self) -> Schema:
        """The schema, enriched anew whenever the app's own function gives a new one."""
        source = self._original()
        if source is not self._source:
            self._source, self._enriched = source, enrich(source, self._shape)
        return self._enriched


def install_openapi(app: FastAPI, shape: str = "problem") -> None:
    """Enrich what `app.openapi()` gives; once, however often it is called.

    Args:
        app: the app.
        shape: how errors are answered, ``problem`` or ``detail``.
    """
    if not isinstance(app.openapi, EnrichedOpenApi):
        app.openapi = EnrichedOpenApi(app.openapi, shape)  # type: ignore[method-assign]  # FastAPI's documented way


def _operations(schema: Schema) -> Iterator[Schema]:
    for path in schema.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict):
                yield operation


def _ours(operation: Schema) -> bool:
    names = {name for alternative in operation.get("security", ()) for name in alternative}
    return bool(names & {SCHEME_NAME, OPTIONAL_SCHEME_NAME})


def _add_answers(operation: Schema) -> None:
    for status, (description, errors) in _ANSWERS.items():
        operation.setdefault("responses", {}).setdefault(status, problem_answer(description, errors))


def _as_details(operation: Schema) -> None:
    """Say of our answers what they are with `error_format="detail"`."""
    for answer in operation.get("responses", {}).values():
        ours = answer.get("content", {}).pop(PROBLEM_MEDIA_TYPE, None)
        if ours is not None:
            for example in ours.get("examples", {}).values():
                example["value"] = {"detail": example["value"]["detail"]}
            answer["content"]["application/json"] = ours


def _alternatives(security: list[Schema]) -> list[Schema]:
    """One requirement, and "none" beside it where every dependency of the route is optional."""
    names = {name for alternative in security for name in alternative}
    others = [alternative for alternative in security if not set(alternative) & {SCHEME_NAME, OPTIONAL_SCHEME_NAME}]
    optional = SCHEME_NAME not in names
    return [{SCHEME_NAME: []}, *others, *([{}] if optional else [])]


def _merge_schemes(schemes: Schema) -> None:
    if OPTIONAL_SCHEME_NAME in schemes:
        schemes.setdefault(SCHEME_NAME, schemes[OPTIONAL_SCHEME_NAME])
        del schemes[OPTIONAL_SCHEME_NAME]
