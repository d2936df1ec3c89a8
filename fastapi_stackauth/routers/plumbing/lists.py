"""Lists: one page in a response with the cursor of the next one, and the item of a list that a request names."""

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
    """One page of a list."""

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
    """Return the item with an id: the auth server does not compare its owner with the one in the request.

    Args:
        items: what the owner has.
        item_id: the id, in any case.
        not_found: the auth server's code for an unknown id.

    Raises:
        KnownApiError: the item is not among them.
    """
    for item in items:
        if item.id.lower() == item_id.lower():
            return item
    raise KnownApiError.of(not_found)
