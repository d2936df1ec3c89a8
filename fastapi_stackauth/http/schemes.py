"""The OpenAPI security schemes, and the OpenAPI documentation of dependencies.

FastAPI adds a scheme to OpenAPI for each `SecurityBase` object, under its name. Each dependency has a unique name, by
which `openapi.py` finds the object and its documentation, and which it replaces with the real schemes. There is no need
to iterate over routes: FastAPI's schema already contains the dependencies of each route, even in included routers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import count
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from fastapi.openapi.models import HTTPBearer
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security.base import SecurityBase

from fastapi_stackauth.errors import MisuseError
from fastapi_stackauth.startup.guards import Guarded

SCHEME_NAME = "StackAuth"
OPTIONAL_SCHEME_NAME = "StackAuthOptional"
API_KEY_NAME = "StackAuthApiKey"
HEADER_NAME = "StackAuthHeader"
COOKIE_NAME = "StackAuthCookie"
PASSWORD_NAME = "StackAuthPassword"  # noqa: S105 - the name of a scheme
TOKEN_OPERATION = "token_password_grant"  # noqa: S105 - the name of an operation
"""The operation id, or its suffix, of the route with which Swagger UI's "Authorize" signs in."""
_COMPUTED = ("_hash", "_requirements", "_number")
"""Attributes that dependencies compute from their fields and cache."""
API_KEY_SCHEME = {
    "type": "apiKey",
    "in": "header",
    "name": "x-api-key",
    "description": "An API key of a user or a team. `Authorization: Bearer <key>` works as well.",
}
HEADER_SCHEME = {
    "type": "apiKey",
    "in": "header",
    "name": "x-stack-access-token",
    "description": "The access token in the header of the vendor's SDKs; `x-hexclave-access-token` works as well.",
}
SCHEME = HTTPBearer(
    bearerFormat="JWT",
    description="An access token of the auth server: sign in through this API's sign-in routes, or with one of "
    "the vendor's SDKs, and send it as `Authorization: Bearer <token>`.",
)


def cookie_scheme(name: str) -> dict[str, str]:
    """Return the scheme of the session cookie of this name."""
    text = "The session cookie that the sign-in routes set. Browsers send it automatically; scripts cannot read it."
    return {"type": "apiKey", "in": "cookie", "name": name, "description": text}


def password_scheme(token_url: str) -> dict[str, Any]:
    """Return the scheme with which the API docs sign in (RFC 6749 §4.3), using the route at this URL."""
    text = "Sign in with the email address as the username. Leave the client id and secret empty."
    return {"type": "oauth2", "flows": {"password": {"tokenUrl": token_url, "scopes": {}}}, "description": text}


@dataclass(frozen=True)
class Documentation:
    """The documentation that a dependency adds to its routes.

    Attributes:
        errors: The codes that such a route can return, each with an example of its `details`.
        sentences: The requirements, for the route's description.
        parameters: The parameters that the dependency reads, as (place, name).
        api_key: Whether the route accepts an API key.
        api_key_only: Whether it accepts only an API key.
    """

    errors: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    sentences: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    api_key: bool = False
    api_key_only: bool = False


class _BareDependency(MisuseError, AttributeError):
    """A dependency is listed in ``dependencies=[...]`` without `Depends`.

    It is also an AttributeError, because `hasattr` and `inspect` expect one if an attribute does not exist.
    """


class _NoDependency:
    """FastAPI reads the attribute `dependency` of each item of ``dependencies=[...]``; only `Depends(...)` has it."""

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise _BareDependency(
            f"dependencies=[...] takes Depends(...); got {owner.__name__} without it. "
            f"Write dependencies=[Depends({owner.__name__}(...))]."
        )


class Secured(Guarded, SecurityBase):
    """Base class that makes FastAPI add `security` to OpenAPI. Subclasses are frozen dataclasses with `eq=False`.

    Two instances are equal if their class, their fields and the other attributes of a subclass are equal. FastAPI calls
    only one of two equal dependencies in a request. It uses the hash several times per request, so the hash is cached.
    """

    base_name = SCHEME_NAME
    dependency = _NoDependency()
    model: SecurityModel = SCHEME
    _hash: int
    _number: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((type(self), *self._values())))
        object.__setattr__(self, "_number", next(_NUMBERS))
        _DEPENDENCIES[f"{self.base_name}.{self._number}"] = self

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._state() == other._state()

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation that this dependency adds to its routes."""
        return Documentation()

    @property
    def scheme_name(self) -> str:  # type: ignore[override]  # FastAPI reads an attribute, which may be computed
        """A unique name if the dependency adds documentation to its routes; `openapi.py` replaces it."""
        return self.base_name if self.describe() == Documentation() else f"{self.base_name}.{self._number}"

    def _state(self) -> dict[str, object]:
        """Return the attributes of the instance, except for cached values."""
        return {name: value for name, value in vars(self).items() if name not in _COMPUTED}

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]  # subclasses are dataclasses


_NUMBERS = count(1)
_DEPENDENCIES: WeakValueDictionary[str, Secured] = WeakValueDictionary()
"""Each dependency by its unique name, as long as a route uses it.
This is module state, because there is no stack when a dependency is constructed."""


def find_documentation(scheme_name: str) -> Documentation:
    """Return the documentation of the dependency with this scheme name."""
    dependency = _DEPENDENCIES.get(scheme_name)
    return Documentation() if dependency is None else dependency.describe()


def unwrap_dependency(call: Any) -> Any:  # noqa: ANN401 - any argument of `Depends(...)`
    """Return the dependency of this library behind a `functools.partial` or its `__call__`; else the call itself."""
    while isinstance(call, partial):
        call = call.func
    owner = getattr(call, "__self__", None)
    return owner if isinstance(owner, Secured) and call.__name__ == "__call__" else call
