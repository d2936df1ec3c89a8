"""Errors in the format for OAuth clients (RFC 6749 §5.2, RFC 8628 §3.5)."""

from collections.abc import Iterable
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import JSONResponse

from fastapi_stackauth.errors import StackAuthError
from fastapi_stackauth.errors.problems import get_error_headers
from fastapi_stackauth.http.responses import Schema

OAUTH_CODES = frozenset(
    (
        "authorization_pending",
        "slow_down",
        "access_denied",
        "expired_token",
        "invalid_grant",
        "unsupported_grant_type",
    )
)
"""Codes of this library that are OAuth error codes."""
_SCHEMA: Schema = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {
        "error_description": {"type": "string", "description": "One sentence for a reader."},
        "error_uri": {"type": "string", "description": "The documentation of the error, if the app has it."},
    },
}


def oauth_error_response(error: StackAuthError, docs_url: str | None) -> Response:
    """Return the error response for an OAuth client.

    Args:
        error: Any error of this library.
        docs_url: The URL of a page about errors, to which the code is appended.
    """
    body = _to_body(error) | ({"error_uri": docs_url + error.code} if docs_url else {})
    return JSONResponse(body, oauth_status(error), get_error_headers(error))


def oauth_status(error: StackAuthError) -> int:
    """Return the status: 400 for an invalid request, otherwise the error's own."""
    return HTTPStatus.BAD_REQUEST if error.status_code == HTTPStatus.UNPROCESSABLE_ENTITY else error.status_code


def document_oauth_errors(description: str, errors: Iterable[StackAuthError]) -> Schema:
    """Return the OpenAPI documentation of errors with the same status, with one example for each code."""
    bodies = [_to_body(error) for error in errors]
    examples = {body["error"]: {"summary": body["error_description"], "value": body} for body in bodies}
    code = {"type": "string", "enum": sorted(examples), "description": "A machine-readable OAuth error code."}
    schema = {**_SCHEMA, "properties": {"error": code, **_SCHEMA["properties"]}}
    return {"description": description, "content": {"application/json": {"schema": schema, "examples": examples}}}


def _to_body(error: StackAuthError) -> dict[str, str]:
    return {"error": _to_code(error), "error_description": error.message}


def _to_code(error: StackAuthError) -> str:
    if error.code in OAUTH_CODES:
        return error.code
    if error.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return "slow_down"
    if error.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        return "temporarily_unavailable"
    return "invalid_request" if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
