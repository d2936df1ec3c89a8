"""The base of all models: deeply immutable, with unknown fields, and times in one form."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, NoReturn, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed through its own methods, so that a cached value may be shared.

    It stays a dict, so that json and pydantic write it like any other.
    """

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("this value is shared between requests and cannot be changed; copy it with dict(...)")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dict is unhashable, but this one never changes
        return hash(frozenset(self.items()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)


_NESTED = (dict, list, tuple)
_FLAT = frozenset((str, int, float, bool, type(None)))


def freeze(value: object) -> Any:  # noqa: ANN401 - as JSON is: a value of any of its types
    """A JSON value whose objects are `FrozenDict` and whose arrays are tuples, all the way down."""
    if isinstance(value, dict):
        if _FLAT.issuperset(map(type, value.values())):  # as the claims of nearly every token
            return FrozenDict(value)
        return FrozenDict({key: freeze(item) if isinstance(item, _NESTED) else item for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple([freeze(item) for item in value])
    return value


LATEST, EARLIEST = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)


def _from_millis(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return EPOCH + value * _MILLISECOND
        except OverflowError:  # JavaScript's calendar, and so an API key's expiry, reaches further than Python's
            return LATEST if value > 0 else EARLIEST
    return value


def _to_millis(value: datetime) -> int | float:
    since = value - EPOCH
    whole, rest = divmod(since, _MILLISECOND)
    return since / _MILLISECOND if rest else whole


Millis = Annotated[
    AwareDatetime,
    BeforeValidator(_from_millis),
    PlainSerializer(_to_millis, return_type=int | float, when_used="always"),
    WithJsonSchema({"type": "number", "description": "Milliseconds since 1970 (UTC)."}),
]
"""An aware datetime that travels as the wire's milliseconds since 1970 and converts back exactly.

Times beyond the years 1 to 9999 become the nearest end of Python's calendar.
"""


class TrustedModel:
    """Base class of models that only the library or the auth server may create, such as `User`.

    A caller who could send one could pose as any user. So no endpoint reads one from a request by accident: an app
    that does so does not start, unless the parameter has an explicit `Body()`.

    Subclasses set `_use` to the correct code, with ``{name}`` for the name of the parameter.
    """

    __slots__ = ()

    _use: ClassVar[str]

    @classmethod
    def correct_use(cls, parameter: str) -> str:
        """Return what to write instead of a parameter that is read from the request, for error messages."""
        return cls._use.format(name=parameter)


class ApiModel(TrustedModel, BaseModel):
    """A response of the auth server: frozen; it keeps fields that later servers add.

    `to_json` gives back what the server sent. A repr leaves unknown fields out: they may be secrets.
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, hide_input_in_errors=True)

    _use: ClassVar[str] = "a dependency that returns it, in Depends(...)"

    def to_json(self) -> dict[str, JsonValue]:
        """The model as it came over the wire: what was absent stays absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        extra = self.model_extra or {}
        return ((name, value) for name, value in super().__repr_args__() if name not in extra)


class ApiRequestBody(BaseModel):
    """A request body: only fields that are set are sent, so None clears a value and a missing field keeps it.

    Unknown fields are rejected, so that a caller cannot set fields that it may not set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server_only: ClassVar[bool] = False

    def to_json(self) -> dict[str, JsonValue]:
        """The fields that are set, as they travel."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
