"""The base class of the resources, and helpers that they share."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import BaseModel

from fastapi_stackauth.client.caller import ApiCaller
from fastapi_stackauth.client.paging import Listing, Page
from fastapi_stackauth.client.request import ApiRequest, Rights
from fastapi_stackauth.errors import UnexpectedResponse
from fastapi_stackauth.models import ApiModel

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T", bound=ApiModel)

MAX_PAGES = 1000
"""The maximum number of pages when a list is read as a whole, so that a faulty server cannot cause an endless loop."""
ME = "me"
"""The id that stands for the client's user."""


@dataclass(frozen=True)
class Resource:
    """The operations on one resource of the auth server, as one caller."""

    _client: ApiCaller

    async def _post(self, path: str, model: type[M], **fields: object) -> M:
        """Send a POST with the fields that are not None. The operation has the same effect for both access types."""
        body = {name: value for name, value in fields.items() if value is not None}
        return await self._client.fetch(ApiRequest("POST", path, json=body, rights="any"), model)

    def _listing(self, request: ApiRequest, model: type[Page[T]]) -> Listing[T]:
        """Return a paginated list. The client sends each cursor back unchanged."""

        def fetch(cursor: str | None) -> Awaitable[Page[T]]:
            params = {**(request.params or {}), **build_query(cursor=cursor)}
            return self._client.fetch(replace(request, params=params), model)

        return Listing(fetch)

    async def _list(self, request: ApiRequest, model: type[Page[T]]) -> tuple[T, ...]:
        """Return a whole list. Most servers send one page; if there are more, the client fetches all of them."""
        items: list[T] = []
        pages = 0
        async for page in self._listing(request, model).pages():
            items.extend(page.items)
            pages += 1
            if pages == MAX_PAGES and page.next_cursor is not None:
                message = "The auth server's list has too many pages."
                raise UnexpectedResponse(message=message, operation=request.operation)
        return tuple(items)


class Done(ApiModel):
    """The response of an operation that only reports success, which some operations do in a sentence."""

    success: bool | str | None = None


def rights_over(user_id: str | None) -> Rights:
    """Return the rights that an operation on a user needs. For the user's own account, both access types work."""
    return "any" if user_id == ME else "user"


def build_query(**values: str | bool | None) -> dict[str, str]:
    """Return the query parameters that are not None, encoded."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }
