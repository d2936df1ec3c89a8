"""Lists in responses: one page, and the cursor of the next one."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.routers.plumbing.examples import Example

T = TypeVar("T", bound=BaseModel)


class ListResponse(BaseModel, Generic[T]):
    """One page of a list."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...] = Field(description="The items of this page.", examples=[[]])
    next_cursor: str | None = Field(
        default=None,
        description="The cursor of the next page; null on the last one, and if the auth server does not page the list.",
        examples=[None],
    )


def list_example(item: dict[str, Any]) -> Example:
    """Return the example of a list with one item."""
    return {"items": [item], "next_cursor": None}
