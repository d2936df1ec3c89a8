"""Endpoints for programs: who calls, a greeting, and whether this process lives."""

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


@router.get("/api/me", tags=["example"], summary="Who am I?")
async def me(user: CurrentUser) -> User:
    """The signed-in user, as their access token says. Without one: 401."""
    return user


@router.get("/api/hello", tags=["example"], summary="Greet whoever calls")
async def hello(user: OptionalUser) -> Greeting:
    """A greeting by name for who is signed in, and a general one for everybody else."""
    name = (user.display_name or user.email) if user else None
    return Greeting(message=f"Hello, {name}!" if name else "Hello, stranger!")


@router.get("/health/live", tags=["health"], summary="Is this process alive?")
async def live() -> Alive:
    """For whoever restarts processes that hang. Whether it can serve, `/health/ready` tells."""
    return Alive()
