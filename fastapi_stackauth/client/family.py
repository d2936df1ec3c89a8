"""What the families of the API need of the client, and what they share."""

from typing import Protocol, TypeVar

from pydantic import BaseModel

from fastapi_stackauth.client.answers import Answer
from fastapi_stackauth.client.calls import Call, Rights
from fastapi_stackauth.errors import AuthServerError, UserGone, UserNotFound
from fastapi_stackauth.models import ApiModel, ApiRequest
from fastapi_stackauth.settings import Settings

M = TypeVar("M", bound=BaseModel)

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


class Done(ApiModel):
    """The answer of operations that only say that they succeeded, some of them in a sentence."""

    success: bool | str | None = None


def rights_over(user_id: str | None, change: ApiRequest | None = None) -> Rights:
    """Whose rights an operation on a user takes: one's own account may be reached with either access type."""
    if change is not None and change.server_only:
        return "server"
    return "any" if user_id == ME else "person"


def own_user_gone(error: AuthServerError) -> AuthServerError:
    """What "no such user" means where it is said of the very user who asks."""
    if not isinstance(error, UserNotFound):
        return error
    return UserGone(error.code, error.status_code, operation=error.operation, request_id=error.request_id)


def given(**values: str | bool | None) -> dict[str, str]:
    """The query parameters that are given, as they travel."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }
