"""What the families of the API need of the client, and what they share."""

from dataclasses import replace
from typing import Protocol, TypeVar

from pydantic import BaseModel

from fastapi_stackauth.client.answers import Answer
from fastapi_stackauth.client.calls import Call, Rights
from fastapi_stackauth.client.paging import Listing, Page
from fastapi_stackauth.errors import UnexpectedAnswer
from fastapi_stackauth.models import ApiModel, ApiRequestBody
from fastapi_stackauth.settings import Settings

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T", bound=ApiModel)

MAX_PAGES = 1000
"""Pages of a list that is read as a whole. A server that sends more does not end."""
ME = "me"
"""The id that stands for the user whom the client is bound to."""


class Client(Protocol):
    """The client, as its families see it."""

    settings: Settings

    @property
    def lends_server_access(self) -> bool:
        """Whether persons' calls are made with the secret key, for want of a publishable one."""
        ...

    async def access_token(self) -> str | None:
        """The access token of the user this client is bound to."""
        ...

    async def exchange(self, call: Call) -> Answer:
        """Send a call with this client's headers."""
        ...

    async def call(self, call: Call, model: type[M]) -> M:
        """Send a call and read its answer into a model."""
        ...


class Family:
    """One family of operations, bound to a client and so to a caller."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _listing(self, call: Call, page: type[Page[T]]) -> Listing[T]:
        """Return a list that is read page by page; each cursor goes back to the server as it came."""

        async def fetch(cursor: str | None) -> Page[T]:
            at_cursor = replace(call, params={**(call.params or {}), **given(cursor=cursor)})
            return await self._client.call(at_cursor, page)

        return Listing(fetch)

    async def _list(self, call: Call, page: type[Page[T]]) -> tuple[T, ...]:
        """Return a whole list. Most servers send it as one page; if one sends a cursor, it is followed."""
        items: list[T] = []
        pages = 0
        async for each in self._listing(call, page).pages():
            items.extend(each.items)
            pages += 1
            if pages == MAX_PAGES and each.next_cursor is not None:
                raise UnexpectedAnswer(message="The auth server's list has too many pages.", operation=call.operation)
        return tuple(items)


class Done(ApiModel):
    """The answer of operations that only say that they succeeded, some of them in a sentence."""

    success: bool | str | None = None


def rights_over(user_id: str | None, change: ApiRequestBody | None = None) -> Rights:
    """Whose rights an operation on a user takes: one's own account may be reached with either access type."""
    if change is not None and change.server_only:
        return "server"
    return "any" if user_id == ME else "person"


def given(**values: str | bool | None) -> dict[str, str]:
    """The query parameters that are given, as they travel."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }
