"""Add the documentation of protected routes to OpenAPI, in a pure function from schema to schema.

FastAPI adds `security` for `SecurityBase` objects. This module adds the responses of such routes. The app's own
documentation takes precedence.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from fastapi_stackauth.errors import (
    AUTH_CODES,
    AuthError,
    AuthServerMisconfigured,
    AuthServerRateLimited,
    AuthServerUnavailable,
    ClockSkew,
    RequestError,
    RequestInvalid,
    StackAuthError,
    UnexpectedResponse,
    VerificationUnavailable,
)
from fastapi_stackauth.errors.problems import PROBLEM_MEDIA_TYPE
from fastapi_stackauth.http.responses import (
    DETAIL_SCHEMA,
    PROBLEM_NAME,
    PROBLEM_SCHEMA,
    Schema,
    SharedResponses,
    add_codes,
)
from fastapi_stackauth.http.schemes import (
    API_KEY_NAME,
    API_KEY_SCHEME,
    COOKIE_NAME,
    HEADER_NAME,
    HEADER_SCHEME,
    OPTIONAL_SCHEME_NAME,
    PASSWORD_NAME,
    SCHEME_NAME,
    TOKEN_OPERATION,
    Documentation,
    cookie_scheme,
    find_documentation,
    password_scheme,
)
from fastapi_stackauth.startup.misuse import check_routes

_CROSS_SITE = Documentation((("cross_site_request", {"origin": "not_trusted"}),))
_API_KEY = Documentation((("api_key_invalid", {}),))
_SAFE = ("get", "head", "options", "trace")

UNAUTHENTICATED = tuple(
    AuthError(code)
    for code, (status, _) in AUTH_CODES.items()
    if status == HTTPStatus.UNAUTHORIZED and code not in ("reauthentication_required", "api_key_invalid")
)
"""The errors of missing and rejected credentials, which any protected route can return."""
_EVERYWHERE: tuple[StackAuthError, ...] = (
    *UNAUTHENTICATED,
    AuthServerMisconfigured(),
    VerificationUnavailable(),
    ClockSkew(),
)
"""The errors that every protected route can return."""
_FAILURES: Mapping[str, StackAuthError] = {
    error.code: error
    for error in (
        RequestError("profile_metadata_invalid", details={"fields": ["plan"]}),
        AuthServerUnavailable(),
        AuthServerRateLimited(),
        UnexpectedResponse(),
    )
}
"""Other errors that a dependency can return."""


def enrich(schema: Schema, shape: str = "problem", cookie: str | None = None, *, hidden_teams: bool = True) -> Schema:
    """Return the schema with the errors of protected routes, and with optional security for optional users.

    Args:
        schema: FastAPI's schema, which is not modified.
        shape: The format of errors, ``problem`` or ``detail``.
        cookie: The name of the session cookie, if the app uses one.
        hidden_teams: Whether `unknown_team` is ``permission_missing``.
    """
    enriched = deepcopy(schema)
    components = enriched.setdefault("components", {})
    if HEADER_NAME in components.get("securitySchemes", {}):
        return enriched  # it is already enriched
    facts = _facts(components)
    schemes = _schemes(enriched, cookie) if facts else {}
    shared = SharedResponses(components)
    for method, operation in _operations(enriched):
        names = _our_names(operation)
        if names:
            found = [facts[name] for name in sorted(names)]
            cross_site = cookie is not None and method not in _SAFE
            more = [_CROSS_SITE] if cross_site else []
            _document(operation, [*found, *more], shared, hidden_teams=hidden_teams)
            operation["security"] = _alternatives(operation["security"], found, list(schemes))
    schemas = components.setdefault("schemas", {})
    schemas.setdefault(PROBLEM_NAME, PROBLEM_SCHEMA if shape == "problem" else DETAIL_SCHEMA)
    for _, operation in _operations(enriched):
        if shape == "detail":
            _as_details(operation)
        shared.take_from(operation)
    _merge_schemes(components, schemes)
    return enriched


def _schemes(schema: Schema, cookie: str | None) -> dict[str, Schema]:
    """Return the ways to send a token other than `Authorization: Bearer`, in the order of the docs."""
    schemes: dict[str, Schema] = {}
    for path, item in schema.get("paths", {}).items():
        if item.get("post", {}).get("operationId", "").endswith(TOKEN_OPERATION):
            # The URL is relative to the docs page, so that it also works behind a proxy with a path prefix.
            schemes.setdefault(PASSWORD_NAME, password_scheme(path.removeprefix("/")))
    schemes[HEADER_NAME] = HEADER_SCHEME
    if cookie is not None:
        schemes[COOKIE_NAME] = cookie_scheme(cookie)
    return schemes


class EnrichedOpenApi:
    """An app's `openapi()` with this library's additions. The app's own function and its cache keep working."""

    def __init__(self, app: FastAPI, enriched: Callable[[Schema], Schema]) -> None:
        self._app = app
        self._original = app.openapi
        self._enrich = enriched
        self._source: Schema | None = None
        self._enriched: Schema = {}

    def __call__(self) -> Schema:
        """Return the schema. It is enriched again whenever the app's own function returns a new one.

        Raises:
            MisuseError: A route uses this library in a way that leaves it unprotected.
        """
        if self._app.openapi_schema is None:  # FastAPI caches the schema there
            check_routes(self._app)
        source = self._original()
        if source is not self._source:
            self._source, self._enriched = source, self._enrich(source)
        return self._enriched


def install_openapi(app: FastAPI, enriched: Callable[[Schema], Schema] = enrich) -> None:
    """Enrich the schema of `app.openapi()`. Further calls have no effect.

    Args:
        app: The app.
        enriched: `enrich` with the options of this app.
    """
    if not isinstance(app.openapi, EnrichedOpenApi):
        app.openapi = EnrichedOpenApi(app, enriched)  # type: ignore[method-assign]  # FastAPI's documented way


def _operations(schema: Schema) -> Iterator[tuple[str, Schema]]:
    for path in schema.get("paths", {}).values():
        for method, operation in path.items():
            if isinstance(operation, dict):
                yield method, operation


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in (SCHEME_NAME, OPTIONAL_SCHEME_NAME)


def _our_names(operation: Schema) -> set[str]:
    return {name for alternative in operation.get("security", ()) for name in alternative if _is_ours(name)}


def _facts(components: Schema) -> Mapping[str, Documentation]:
    """Return the documentation of each of this library's dependencies, by the name of its scheme."""
    return {name: find_documentation(name) for name in components.get("securitySchemes", {}) if _is_ours(name)}


def _document(operation: Schema, facts: list[Documentation], shared: SharedResponses, *, hidden_teams: bool) -> None:
    """Add the errors and requirements of a protected route. The app's own documentation takes precedence."""
    if any(doc.api_key or doc.api_key_only for doc in facts):
        facts = [*facts, _API_KEY]
    errors = {code: _refusal(code, details) for doc in facts for code, details in doc.errors}
    if hidden_teams:
        errors.pop("team_not_found", None)
    parameters = _add_parameters(operation, facts)
    faults = [RequestInvalid(((parameters[0], "Missing"),), status_code=400)] if parameters else []
    by_status: dict[int, list[StackAuthError]] = {}
    for error in (*_EVERYWHERE, *errors.values(), *faults):
        by_status.setdefault(error.status_code, []).append(error)
    answers = operation.setdefault("responses", {})
    for status in sorted(by_status):
        answer = shared.make(by_status[status])
        if (own := answers.setdefault(str(status), answer)) is not answer:
            add_codes(own, answer)
    sentences = list(dict.fromkeys(sentence for doc in facts for sentence in doc.sentences))
    if sentences:
        own = operation.get("description")
        operation["description"] = "\n\n".join([*([own] if own else []), " ".join(sentences)])


def _refusal(code: str, details: Mapping[str, Any]) -> StackAuthError:
    return AuthError(code, details=details) if code in AUTH_CODES else _FAILURES[code]


def _add_parameters(operation: Schema, facts: list[Documentation]) -> list[str]:
    """Add the parameters that dependencies read, unless the endpoint has them. Return those that can be invalid."""
    read = [parameter for doc in facts for parameter in doc.parameters]
    named = {(each["in"], each["name"].lower()) for each in operation.get("parameters", ()) if "in" in each}
    for place, name in dict.fromkeys(read):
        if (place, name.lower()) not in named:
            schema = {"type": "string", "title": name, "maxLength": 100}
            described = {"description": "The team's id.", "example": "9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"}
            parameter = {"name": name, "in": place, "required": True, "schema": schema, **described}
            operation.setdefault("parameters", []).append(parameter)
    return [f"{place}.{name}" for place, name in read]


def _as_details(operation: Schema) -> None:
    """Describe the error responses in the format of `error_format="detail"`."""
    for answer in operation.get("responses", {}).values():
        ours = answer.get("content", {}).pop(PROBLEM_MEDIA_TYPE, None)
        if ours is not None:
            for example in ours.get("examples", {}).values():
                example["value"] = {"detail": example["value"]["detail"]}
            ours["schema"] = {"$ref": f"#/components/schemas/{PROBLEM_NAME}"}
            answer["content"]["application/json"] = ours


def _alternatives(security: list[Schema], facts: list[Documentation], ways: list[str]) -> list[Schema]:
    """Return the security alternatives: a token in each place, an API key if allowed, none if optional."""
    others = [alternative for alternative in security if not any(_is_ours(name) for name in alternative)]
    names = {name.partition(".")[0] for alternative in security for name in alternative}
    optional = SCHEME_NAME not in names
    key: list[Schema] = [{API_KEY_NAME: []}] if any(doc.api_key or doc.api_key_only for doc in facts) else []
    only_keys = bool(facts) and all(doc.api_key_only for doc in facts)
    token: list[Schema] = [] if only_keys else [{name: []} for name in (SCHEME_NAME, *ways)]
    return [*token, *key, *others, *([{}] if optional else [])]


def _merge_schemes(components: Schema, ways: dict[str, Schema]) -> None:
    """Replace the names of dependencies with the real schemes."""
    schemes = components.get("securitySchemes", {})
    ours = [name for name in schemes if _is_ours(name)]
    if not ours:
        return
    scheme = schemes[ours[0]]
    rest = {name: value for name, value in schemes.items() if not _is_ours(name)}
    keys = any(documentation.api_key or documentation.api_key_only for documentation in map(find_documentation, ours))
    own = {SCHEME_NAME: scheme, **ways, **({API_KEY_NAME: API_KEY_SCHEME} if keys else {})}
    components["securitySchemes"] = {**own, **rest}
