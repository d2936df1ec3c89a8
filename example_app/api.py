"""Endpoints for programs: the caller, a greeting, and a liveness check."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fastapi_stackauth import CurrentUser, OptionalUser, User

router = APIRouter()


class Greeting(BaseModel):
    """What to say to a visitor."""

    message: str = Field(description="The greeting.", examples=["Hello, Ada!"])


class Alive(BaseModel):
    """This process answers."""

    status: str = Field(default="ok", description="Always `ok`.", examples=["ok"])


@router.get("/api/me", tags=["example"], summary="Get the signed-in user")
async def me(user: CurrentUser) -> User:
    """Return the signed-in user, by the access token. Without a token the response is 401."""
    return user


@router.get("/api/hello", tags=["example"], summary="Greet the caller")
async def hello(user: OptionalUser) -> Greeting:
    """Greet a signed-in user by name, and other callers in general."""
    name = (user.display_name or user.email) if user else None
    return Greeting(message=f"Hello, {name}!" if name else "Hello, stranger!")


@router.get("/health/live", tags=["health"], summary="Is this process alive?")
async def live() -> Alive:
    """Return 204 while the process runs. `/health/ready` reports whether it can serve requests."""
    return Alive()
