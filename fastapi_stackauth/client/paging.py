"""Lists: what travels as `items`, and listings that come in pages (contract/endpoints.json, conventions).

Law: a cursor is opaque. Servers until April 2026 name the first item of the next page, which begins with that item;
newer ones name the last item of this page, and the next one begins after it. Handed back unread, both work.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi_stackauth.errors import UnexpectedResponse
from fastapi_stackauth.models import ApiModel

T = TypeVar("T", bound=ApiModel)


class Pagination(ApiModel):
    """The request for the next page."""

    next_cursor: str | None = None


class Page(ApiModel, Generic[T]):
    """A list as it travels. Few lists are paginated; older servers leave `pagination` out."""

    items: tuple[T, ...] = ()
    is_paginated: bool = False
    pagination: Pagination | None = None

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page, to be handed back as it is; None on the last page."""
        return self.pagination.next_cursor if self.pagination else None


@dataclass(frozen=True, eq=False)
class Listing(Generic[T]):
    """A list that comes in pages, fetched while you read it.

    Example:
        >>> async for user in client.as_server().users.list(query="ada"):
        ...     print(user.display_name)
        >>> async for page in client.as_server().users.list(limit=50).pages():
        ...     print(len(page.items))
    """

    _fetch: Callable[[str | None], Awaitable[Page[T]]]  # returns the page at a cursor; the first page for None

    async def page(self, cursor: str | None = None) -> Page[T]:
        """Return one page: the first, or the one whose cursor is the `next_cursor` of the page before it.

        Raises:
            AuthServerError: the page cannot be read.
        """
        return await self._fetch(cursor)

    async def pages(self, cursor: str | None = None) -> AsyncIterator[Page[T]]:
        """Return page after page.

        Raises:
            UnexpectedResponse: the server's cursors lead in a circle.
            AuthServerError: a page cannot be read.
        """
        seen = {cursor}
        while True:
            page = await self.page(cursor)
            yield page
            if (cursor := page.next_cursor) is None:
                return
            if cursor in seen:
                raise UnexpectedResponse(message="The auth server's pagination never ends.")
            seen.add(cursor)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Return item after item, over all pages.

        Raises:
            AuthServerError: a page cannot be read.
        """
        async for page in self.pages():
            for item in page.items:
                yield item
