"""Responses for OpenAPI: the schema of a problem document and one shared response for each status."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from fastapi_stackauth.errors import StackAuthError
from fastapi_stackauth.errors.problems import PROBLEM_MEDIA_TYPE, problem_document

_FIELD_ERROR = {
    "location": {
        "type": "string",
        "description": "The invalid field, such as `body.email`.",
        "examples": ["body.email"],
    },
    "message": {"type": "string", "description": "What is wrong there.", "examples": ["Field required"]},
}
DETAIL_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "attempt": {"type": "string", "description": "A secret. Send it with the code from the authenticator app."},
    "errors": {
        "type": "array",
        "description": "The invalid fields.",
        "items": {"type": "object", "required": ["location", "message"], "properties": _FIELD_ERROR},
    },
    "fields": {"type": "array", "description": "The stored metadata that is invalid.", "items": {"type": "string"}},
    "max_age": {"type": "integer", "description": "The maximum number of seconds since the sign-in."},
    "max_body_size": {"type": "integer", "description": "The maximum size of the body, in bytes."},
    "maxLength": {"type": "integer", "description": "The maximum length of a password, in characters."},
    "min_length": {"type": "integer", "description": "The minimum length of a password, in characters."},
    "origin": {
        "type": "string",
        "enum": ["missing", "not_trusted"],
        "description": "Whether the request had no `Origin` header, or one that the app does not trust.",
    },
    "permission_id": {"type": "string", "description": "The permission that is missing."},
    "restricted_reason": {"type": ["string", "null"], "description": "Why the user is restricted."},
    "team_id": {"type": "string", "description": "The team in which it is missing."},
    "would_work_if_email_was_verified": {
        "type": "boolean",
        "description": "Whether the account could be linked if its email address were verified.",
    },
}
"""The members of `details`, by name."""

Schema = dict[str, Any]

PROBLEM_NAME = "StackAuthProblem"
"""A specific name, because an app may have its own `Problem`."""

DETAIL_SCHEMA: Schema = {
    "title": PROBLEM_NAME,
    "description": "An error in FastAPI's format.",
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {
            "type": "string",
            "description": "One sentence for a reader.",
            "examples": ["The access token has expired."],
        }
    },
}

PROBLEM_SCHEMA: Schema = {
    "title": PROBLEM_NAME,
    "description": "A problem document (RFC 9457). Match on `code`, which is stable, not on the texts.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "A URI for the code; with the setting `error_docs_url`, the URL of its documentation.",
            "examples": ["urn:fastapi-stackauth:error:token_expired"],
        },
        "title": {"type": "string", "description": "The HTTP status in words.", "examples": ["Unauthorized"]},
        "status": {"type": "integer", "description": "The HTTP status.", "examples": [401]},
        "detail": {
            "type": "string",
            "description": "One sentence for a reader.",
            "examples": ["The access token has expired."],
        },
        "code": {"type": "string", "description": "A stable name for programs.", "examples": ["token_expired"]},
        "instance": {
            "type": "string",
            "format": "uri-reference",
            "description": "The id of this occurrence, which is also in the app's log.",
            "examples": ["urn:uuid:0d9f6f7a-5f0e-4f53-9a43-3f3f2b1f6d5e"],
        },
        "details": {
            "type": "object",
            "description": "Further details of this error, depending on its code.",
            "additionalProperties": True,
            "examples": [{"permission_id": "posts:delete"}],
        },
    },
}

_DESCRIPTIONS = {
    400: "The request cannot be parsed.",
    401: "The credential is missing or not accepted.",
    403: "The caller may not do this; `code` gives the reason.",
    404: "Not found.",
    409: "The stored metadata of the user does not have the shape that this app expects.",
    502: "The auth server does not accept this app's configuration, or its response cannot be read.",
    503: "Access tokens cannot be verified right now, or the auth server is unavailable.",
}


def problem_response(description: str, errors: tuple[StackAuthError, ...]) -> Schema:
    """Return an OpenAPI response for some codes, with the details that they have and an example for each."""
    examples = {error.code: {"summary": error.message, "value": problem_document(error)} for error in errors}
    own: Schema = {"code": {"type": "string", "enum": sorted({error.code for error in errors})}}
    if details := _merge_details(list(examples.values())):
        own["details"] = details
    reference: Schema = {"$ref": f"#/components/schemas/{PROBLEM_NAME}"}
    content: Schema = {"schema": {"allOf": [reference, {"type": "object", "properties": own}]}, "examples": examples}
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: content}}


def _merge_details(examples: list[Schema]) -> Schema | None:
    """Return the schema of `details`, or None if no code has details."""
    names = sorted({name for example in examples for name in example["value"].get("details", {})})
    if not names:
        return None
    return {"type": "object", "properties": {name: DETAIL_SCHEMAS.get(name, {}) for name in names}}


def add_codes(answer: Schema, more: Schema) -> None:
    """Add the codes of a response to another one of this library. A response from the app does not change."""
    content = answer.get("content", {}).get(PROBLEM_MEDIA_TYPE, {})
    parts = content.get("schema", {}).get("allOf", ())
    if len(parts) != 2 or "code" not in parts[1].get("properties", {}):
        return
    content["examples"] = {**more["content"][PROBLEM_MEDIA_TYPE]["examples"], **content["examples"]}
    parts[1]["properties"]["code"]["enum"] = sorted(content["examples"])
    if details := _merge_details(list(content["examples"].values())):
        parts[1]["properties"]["details"] = details


class SharedResponses:
    """Error responses and their examples in `components`, which all routes of an app refer to.

    Args:
        components: The `components` of the schema, to which this class adds responses.
    """

    def __init__(self, components: Schema) -> None:
        self._components = components
        self._made: dict[str, Schema] = {}
        self._seen: dict[int, tuple[Schema, Schema]] = {}
        self._references: dict[str, Schema] = {}

    def make(self, errors: list[StackAuthError]) -> Schema:
        """Return the response for errors with the same status. The same errors always get the same object."""
        key = repr([(error.code, vars(error)) for error in errors])
        if key not in self._made:
            self._made[key] = problem_response(_DESCRIPTIONS[errors[0].status_code], tuple(errors))
        return self._made[key]

    def take_from(self, operation: Schema) -> None:
        """Replace this library's error responses of an operation with references."""
        responses = operation.get("responses", {})
        for status, response in responses.items():
            if id(response) not in self._seen:  # keep the object, because another one could get its id otherwise
                self._seen[id(response)] = (response, self._refer(status, response))
            responses[status] = dict(self._seen[id(response)][1])

    def _refer(self, status: str, response: Schema) -> Schema:
        contents = response.get("content", {})
        if not any(map(_is_own, contents.values())):
            return response
        shared = {kind: self._with_references(content) for kind, content in contents.items()}
        return self._share("responses", f"StackAuth{status}", {**response, "content": shared})

    def _with_references(self, content: Schema) -> Schema:
        if not _is_own(content) or "examples" not in content:
            return content
        examples = content["examples"].items()
        shared = {name: self._share("examples", f"StackAuth.{name}", example) for name, example in examples}
        return {**content, "examples": shared}

    def _share(self, section: str, name: str, value: Schema) -> Schema:
        key = f"{section} {name} {json.dumps(value, sort_keys=True)}"
        if key not in self._references:
            taken = self._components.setdefault(section, {})
            names = (name if number == 1 else f"{name}.{number}" for number in count(1))
            free = next(each for each in names if each not in taken)
            taken[free] = value
            self._references[key] = {"$ref": f"#/components/{section}/{free}"}
        return self._references[key]


def _is_own(content: Schema) -> bool:
    """Return whether the content of a response is a problem document of this library."""
    schema = content.get("schema", {})
    return {"$ref": f"#/components/schemas/{PROBLEM_NAME}"} in (schema, *schema.get("allOf", ()))
