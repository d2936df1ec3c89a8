"""Bodies that programs post as JSON and pages of ours as forms: one model for both, one way to refuse either."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from fastapi_stackauth.errors import RequestInvalid
from fastapi_stackauth.http.bodies import not_json, read_form

M = TypeVar("M", bound=BaseModel)

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def posted_by_page(request: Request) -> bool:
    """Whether a page's form posted this, so that a person reads the answer."""
    return _media_type(request) in _FORMS and "application/json" not in request.headers.get("accept", "")


def documents_forms(openapi_extra: Mapping[str, Any] | None) -> bool:
    """Whether a route with these additions to OpenAPI takes forms."""
    return _FORMS[0] in (openapi_extra or {}).get("requestBody", {}).get("content", {})


@dataclass(frozen=True)
class Posted(Generic[M]):
    """A dependency that reads a request's body into a model, from JSON or from a form.

    Raises:
        RequestInvalid: 422, or 400 where the body is no text at all.
    """

    model: type[M]

    async def __call__(self, request: Request) -> M:
        """The body, for FastAPI to give to the handler."""
        try:
            return self.model.model_validate(await _fields(request))
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False, include_context=False)
            raise RequestInvalid(
                tuple((place_of(("body", *fault["loc"])), str(fault["msg"])) for fault in faults)
            ) from None

    @property
    def documented(self) -> dict[str, Any]:
        """What OpenAPI says of the body."""
        schema = {"schema": self.model.model_json_schema()}
        return {"requestBody": {"required": True, "content": {"application/json": schema, _FORMS[0]: schema}}}


def place_of(location: Sequence[int | str]) -> str:
    """Return which field a fault is in. What lies deeper has names that the caller chose, and may be hundreds long."""
    return ".".join(str(part) for part in location[:2])


async def _fields(request: Request) -> object:
    kind = _media_type(request)
    if kind in _FORMS:
        return await read_form(request)
    if kind != "application/json" and not kind.endswith("+json"):
        if await request.body():
            raise not_json()
        return None
    return await _json(request)


async def _json(request: Request) -> object:
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise not_json() from None


def _media_type(request: Request) -> str:
    headers: Mapping[str, str] = request.headers
    return headers.get("content-type", "").partition(";")[0].strip().lower()
