"""Lists: the response with a page and the cursor of the next one, and the search for an item in a list."""

from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.errors import KnownApiError
from fastapi_stackauth.routers.plumbing.examples import Example

T = TypeVar("T", bound=BaseModel)


class Listed(Protocol):
    """An item of a list."""

    @property
    def id(self) -> str:
        """The item's id."""


L = TypeVar("L", bound=Listed)


class ListResponse(BaseModel, Generic[T]):
    """A page of a list."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...] = Field(description="The items of this page.", examples=[[]])
    next_cursor: str | None = Field(
        default=None,
        description="The cursor of the next page; null on the last page, or if the auth server sends the list whole.",
        examples=[None],
    )


def list_example(item: dict[str, Any]) -> Example:
    """Return the example of a list with one item."""
    return {"items": [item], "next_cursor": None}


def find_listed(items: Iterable[L], item_id: str, not_found: str) -> L:
    """Return the item with an id, because the auth server does not compare its owner with the one in the request.

    Args:
        items: The owner's items.
        item_id: The id, in upper or lower case.
        not_found: The auth server's code for an unknown id.

    Raises:
        KnownApiError: The item is not in the list.
    """
    for item in items:
        if item.id.lower() == item_id.lower():
            return item
    raise KnownApiError.of(not_found)
