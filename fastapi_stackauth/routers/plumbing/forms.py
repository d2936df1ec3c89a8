"""HTML forms, for pages that work without scripts: convert a form to the JSON that a route expects.

In cookie delivery, every POST route accepts a form. The query of its action contains the next pages:
`?on_success=/notes&on_error=/sign-in`. Both must be allowed redirect targets (`redirects.py`). Routes with `form=True`
also accept forms without next pages, and return a page.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel
from starlette.types import Message

from fastapi_stackauth.errors import RequestInvalid, SecondFactorRequired, StackAuthError
from fastapi_stackauth.sessions.redirects import allowed_redirect, with_query
from fastapi_stackauth.settings import Settings

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_TRUE = ("on", "true", "1", "yes")
_FALSE = ("off", "false", "0", "no", "")
_MOST_DIGITS = 18


@dataclass(frozen=True)
class FormRedirects:
    """The next pages after a form."""

    on_success: str
    on_error: str

    def after(self, error: StackAuthError) -> Response:
        """Redirect to `on_error` with `?error=<code>`, or with `?mfa=required` if a second factor must follow."""
        query = {"mfa": "required"} if isinstance(error, SecondFactorRequired) else {"error": error.code}
        return RedirectResponse(with_query(self.on_error, **query), 303)


def has_form(request: Request) -> bool:
    """Whether the body is a form, by its media type."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in FORM_TYPES


def is_page_form(request: Request) -> bool:
    """Whether a page's form sent the request, so that the user reads the response."""
    return has_form(request) and "application/json" not in request.headers.get("accept", "")


def read_redirects(request: Request, settings: Settings) -> FormRedirects | None:
    """Return the next pages after this request. None if it is not a form or has no next pages.

    Raises:
        RequestInvalid: Redirects to them are not allowed.
    """
    success = request.query_params.get("on_success")
    if success is None or request.method != "POST" or not is_page_form(request):
        return None
    error = request.query_params.get("on_error", success)
    for name, address in (("on_success", success), ("on_error", error)):
        if allowed_redirect(address, settings) is None:
            raise RequestInvalid(((f"query.{name}", "Redirects to this URL are not allowed"),))
    return FormRedirects(success, error)


def convert_to_json(request: Request, form: Mapping[str, str], annotation: object) -> Request:
    """Return the request with the form's fields as JSON, as a script would send them.

    An empty field becomes null, or false for a checkbox. A checked checkbox becomes true, and digits become a number.

    Args:
        request: The request.
        form: The fields of its form.
        annotation: The type of the body. The fields of a model show which inputs are checkboxes and numbers.
    """
    known = annotation.model_fields if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}
    types = {name: (field.annotation, *get_args(field.annotation)) for name, field in known.items()}
    fields = {name: _convert(value, types.get(name, ())) for name, value in form.items()}
    body = json.dumps(fields).encode()
    kept = [pair for pair in request.scope["headers"] if pair[0] not in (b"content-type", b"content-length")]
    headers = [*kept, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({**request.scope, "headers": headers}, receive)


def _convert(value: str, types: tuple[object, ...]) -> object:
    if bool in types and value.lower() in _TRUE:
        return True
    if bool in types and type(None) not in types and value.lower() in _FALSE:
        return False
    if int in types and value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS:
        return int(value)
    return value or None
