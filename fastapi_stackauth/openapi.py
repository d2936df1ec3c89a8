"""What protected routes say of themselves in OpenAPI. A pure function from schema to schema.

FastAPI writes `security` where our `SecurityBase` objects stand; here the answers that such routes can give are added.
What the app wrote itself wins.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from fastapi_stackauth.errors import (
    AuthError,
    AuthServerMisconfigured,
    RequestInvalid,
    StackAuthError,
    VerificationUnavailable,
)
from fastapi_stackauth.problems import PROBLEM_MEDIA_TYPE, problem
from fastapi_stackauth.schemes import API_KEY_NAME, API_KEY_SCHEME, EXTENSION, OPTIONAL_SCHEME_NAME, SCHEME_NAME

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
_EVERYWHERE: tuple[StackAuthError, ...] = (*_UNAUTHENTICATED, AuthServerMisconfigured(), VerificationUnavailable())
"""What every protected route can answer."""
_DESCRIPTIONS = {
    400: "The request does not have the expected form.",
    401: "No credential, or one that is not accepted.",
    403: "Signed in, but not allowed to do this.",
    404: "There is no such thing.",
    502: "The auth server does not accept this app's configuration.",
    503: "The sign-in cannot be checked right now.",
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
    components = enriched.setdefault("components", {})
    facts = _facts(components)
    for operation in _operations(enriched):
        names = _our_names(operation)
        if names:
            _document(operation, [facts.get(name, {}) for name in sorted(names)])
            operation["security"] = _alternatives(operation["security"], [facts.get(name, {}) for name in names])
    schemas = components.setdefault("schemas", {})
    schemas.setdefault(PROBLEM_NAME, PROBLEM_SCHEMA if shape == "problem" else DETAIL_SCHEMA)
    if shape == "detail":
        for operation in _operations(enriched):
            _as_details(operation)
    _merge_schemes(components)
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


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in (SCHEME_NAME, OPTIONAL_SCHEME_NAME)


def _our_names(operation: Schema) -> set[str]:
    return {name for alternative in operation.get("security", ()) for name in alternative if _is_ours(name)}


def _facts(components: Schema) -> Mapping[str, Schema]:
    """What our dependencies say of themselves, by the name of their scheme."""
    schemes = components.get("securitySchemes", {})
    return {name: scheme.get(EXTENSION, {}) for name, scheme in schemes.items() if _is_ours(name)}


def _document(operation: Schema, facts: list[Schema]) -> None:
    """Add what a protected route can answer, and what it demands. What the app wrote itself wins."""
    if any(fact.get("api_key") or fact.get("api_key_only") for fact in facts):
        facts = [*facts, {"refusals": [["api_key_invalid", {}]]}]
    refusals = {code: AuthError(code, details=details) for fact in facts for code, details in fact.get("refusals", ())}
    parameters = _add_parameters(operation, facts)
    faults = [RequestInvalid(((parameters[0], "Missing"),), status_code=400)] if parameters else []
    by_status: dict[int, list[StackAuthError]] = {}
    for error in (*_EVERYWHERE, *refusals.values(), *faults):
        by_status.setdefault(error.status_code, []).append(error)
    answers = operation.setdefault("responses", {})
    for status in sorted(by_status):
        answers.setdefault(str(status), problem_answer(_DESCRIPTIONS[status], tuple(by_status[status])))
    sentences = list(dict.fromkeys(sentence for fact in facts for sentence in fact.get("sentences", ())))
    if sentences:
        own = operation.get("description")
        operation["description"] = "\n\n".join([*([own] if own else []), " ".join(sentences)])


def _add_parameters(operation: Schema, facts: list[Schema]) -> list[str]:
    """Name what our dependencies read from the request, unless the endpoint does; where they can be wrong."""
    read = [tuple(parameter) for fact in facts for parameter in fact.get("parameters", ())]
    named = {(each["in"], each["name"].lower()) for each in operation.get("parameters", ()) if "in" in each}
    for place, name in dict.fromkeys(read):
        if (place, name.lower()) not in named:
            schema = {"type": "string", "title": name, "maxLength": 100}
            described = {"description": "The team's id.", "example": "9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"}
            parameter = {"name": name, "in": place, "required": True, "schema": schema, **described}
            operation.setdefault("parameters", []).append(parameter)
    return [f"{place}.{name}" for place, name in read]


def _as_details(operation: Schema) -> None:
    """Say of our answers what they are with `error_format="detail"`."""
    for answer in operation.get("responses", {}).values():
        ours = answer.get("content", {}).pop(PROBLEM_MEDIA_TYPE, None)
        if ours is not None:
            for example in ours.get("examples", {}).values():
                example["value"] = {"detail": example["value"]["detail"]}
            answer["content"]["application/json"] = ours


def _alternatives(security: list[Schema], facts: list[Schema]) -> list[Schema]:
    """A token, an API key where that does, and nothing where every dependency of the route is optional."""
    others = [alternative for alternative in security if not any(_is_ours(name) for name in alternative)]
    names = {name.partition(".")[0] for alternative in security for name in alternative}
    optional = SCHEME_NAME not in names
    key: list[Schema] = (
        [{API_KEY_NAME: []}] if any(fact.get("api_key") or fact.get("api_key_only") for fact in facts) else []
    )
    token: list[Schema] = [] if facts and all(fact.get("api_key_only") for fact in facts) else [{SCHEME_NAME: []}]
    return [*token, *key, *others, *([{}] if optional else [])]


def _merge_schemes(components: Schema) -> None:
    """Put the scheme itself in the place of those that carried facts."""
    schemes = components.get("securitySchemes", {})
    ours = [name for name in schemes if _is_ours(name)]
    if not ours:
        return
    scheme = {name: value for name, value in schemes[ours[0]].items() if name != EXTENSION}
    rest = {name: value for name, value in schemes.items() if not _is_ours(name)}
    keys = any(schemes[name].get(EXTENSION, {}).get(flag) for name in ours for flag in ("api_key", "api_key_only"))
    components["securitySchemes"] = {SCHEME_NAME: scheme, **({API_KEY_NAME: API_KEY_SCHEME} if keys else {}), **rest}
