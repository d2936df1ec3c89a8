"""HTML forms for the cookie router, for pages that work without scripts: a form becomes the JSON that a route takes,
and the route's answer a redirect.

A form says in its action where the browser goes then: `?on_success=/notes&on_error=/sign-in`. Both may lead where any
redirect may (`redirects.py`). Forms without `on_success` are left to the routes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel
from starlette.types import Message

from fastapi_stackauth.errors import ConfigurationError, RequestInvalid, SecondFactorRequired, StackAuthError
from fastapi_stackauth.http.bodies import read_form
from fastapi_stackauth.http.handlers import log_answer
from fastapi_stackauth.routers.plumbing.posted import posted_by_page
from fastapi_stackauth.runtime.events import Events
from fastapi_stackauth.sessions.redirects import allowed_redirect, with_query
from fastapi_stackauth.settings import Settings

SUCCESS, ERROR = "on_success", "on_error"
_TRUE = ("on", "true", "1", "yes")


@dataclass(frozen=True)
class Places:
    """Where a form's answer leads."""

    success: str
    error: str

    def after(self, error: StackAuthError, events: Events) -> Response:
        """Send the browser to where the error is told as `?error=<code>`, or the second factor asked for.

        Raises:
            ConfigurationError: it is for the log, and nobody else.
        """
        if isinstance(error, ConfigurationError):
            raise error
        log_answer(error, events)
        told = {"mfa": "required"} if isinstance(error, SecondFactorRequired) else {"error": error.code}
        return RedirectResponse(with_query(self.error, **told), 303)

    def done(self) -> Response:
        """Send the browser on."""
        return RedirectResponse(self.success, 303)


def places_of(request: Request, settings: Settings) -> Places | None:
    """Where the answer to this request leads; None where it is no form, or names no place.

    Raises:
        RequestInvalid: redirects may not lead there.
    """
    success = request.query_params.get(SUCCESS)
    if success is None or request.method != "POST" or not posted_by_page(request):
        return None
    error = request.query_params.get(ERROR, success)
    for name, address in ((SUCCESS, success), (ERROR, error)):
        if allowed_redirect(address, settings) is None:
            raise RequestInvalid(((f"query.{name}", "Redirects may not lead there"),))
    return Places(success, error)


async def as_json(request: Request, model: type[BaseModel] | None) -> Request:
    """The request as a program would have sent it: the form's fields as JSON.

    Args:
        request: the form as it came.
        model: what the route reads the body into, where that is known: it tells which fields are boxes to tick.

    Raises:
        RequestInvalid: 400, the form cannot be parsed, or has a file.
    """
    body = json.dumps(fields_of(await read_form(request), model)).encode()
    kept = [pair for pair in request.scope["headers"] if pair[0] not in (b"content-type", b"content-length")]
    headers = [*kept, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({**request.scope, "headers": headers}, receive)


def fields_of(form: Mapping[str, str], model: type[BaseModel] | None = None) -> dict[str, Any]:
    """A form's fields as JSON values: what was left empty is null, and a box that was ticked is true."""
    known = model.model_fields if model is not None else {}
    boxes = {name for name, field in known.items() if bool in (field.annotation, *get_args(field.annotation))}
    return {name: _value(value, box=name in boxes) for name, value in form.items()}


def model_of(annotation: object) -> type[BaseModel] | None:
    """The model of a body, where it is one."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _value(value: str, *, box: bool) -> object:
    if box and value.lower() in _TRUE:
        return True
    return value or None
