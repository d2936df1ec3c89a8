"""Lists of the auth server, whole or in pages (contract/endpoints.json, conventions).

Law: a cursor is opaque. Servers until April 2026 name the first item of the next page, which begins with that item;
newer ones name the last item of this page, and the next one begins after it. The client sends it back unread, which
works with both.
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
    """A list as the server sends it. Few lists are paginated, and older servers leave out `pagination`."""

    items: tuple[T, ...] = ()
    is_paginated: bool = False
    pagination: Pagination | None = None

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page, or None on the last page. Pass it on unchanged."""
        return self.pagination.next_cursor if self.pagination else None


@dataclass(frozen=True, eq=False)
class Listing(Generic[T]):
    """A paginated list, which fetches the next page while you iterate over it.

    Example:
        >>> async for user in client.as_server().users.list(query="ada"):
        ...     print(user.display_name)
        >>> async for page in client.as_server().users.list(limit=50).pages():
        ...     print(len(page.items))
    """

    _fetch: Callable[[str | None], Awaitable[Page[T]]]  # returns the page at a cursor; the first page for None

    async def page(self, cursor: str | None = None) -> Page[T]:
        """Return the first page, or the page at a cursor, which is the `next_cursor` of the page before it.

        Raises:
            AuthServerError: The page cannot be read.
        """
        return await self._fetch(cursor)

    async def pages(self, cursor: str | None = None) -> AsyncIterator[Page[T]]:
        """Iterate over the pages.

        Raises:
            UnexpectedResponse: The server repeats a cursor, so the list would never end.
            AuthServerError: A page cannot be fetched.
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
        """Iterate over the items of all pages.

        Raises:
            AuthServerError: A page cannot be read.
        """
        async for page in self.pages():
            for item in page.items:
                yield item
