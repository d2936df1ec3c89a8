"""The security schemes that routes name in OpenAPI."""

from dataclasses import fields

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

SCHEME_NAME = "StackAuth"
OPTIONAL_SCHEME_NAME = "StackAuthOptional"
SCHEME = HTTPBearer(
    bearerFormat="JWT",
    description="An access token of the auth server: sign in through this API's sign-in routes, or with one of "
    "the vendor's SDKs, and send it as `Authorization: Bearer <token>`. `x-stack-access-token` works as well.",
)


class Secured(SecurityBase):
    """What makes FastAPI write `security` into OpenAPI. Subclasses are frozen dataclasses with `eq=False`.

    Two are equal when class and fields are. FastAPI asks for the hash several times a request, so it is made once.
    """

    model = SCHEME
    scheme_name = SCHEME_NAME
    _hash: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((type(self), *self._values())))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]  # subclasses are dataclasses
