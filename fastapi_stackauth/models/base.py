"""The base classes of all models, which are deeply immutable, and the type of their times."""

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
    """A dict whose methods cannot change it, so that requests may share a cached value.

    It is still a dict, so json and pydantic serialize it like any other.
    """

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("this value is shared between requests and cannot be changed; copy it with dict(...)")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dict is unhashable, but this one is immutable
        return hash(frozenset(self.items()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)


_NESTED = (dict, list, tuple)
_FLAT = frozenset((str, int, float, bool, type(None)))


def freeze(value: object) -> Any:  # noqa: ANN401 - JSON has values of several types
    """Return an immutable copy of a JSON value: nested objects become `FrozenDict` and arrays become tuples."""
    if isinstance(value, dict):
        if _FLAT.issuperset(map(type, value.values())):  # the claims of nearly every token look like this
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
        except OverflowError:  # JavaScript dates, such as an API key's expiry, have a wider range
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
"""An aware datetime that is serialized as milliseconds since 1970, without loss.

Times outside the years 1 to 9999 become the earliest or latest datetime of Python.
"""


class TrustedModel:
    """Base class of models that only the library or the auth server may create, such as `User`.

    A caller that could send such a model could impersonate any user. So an app with an endpoint that reads one from a
    request does not start, unless the parameter has an explicit `Body()`.

    Subclasses set `_use` to the correct code, with ``{name}`` as the placeholder for the parameter's name.
    """

    __slots__ = ()

    _use: ClassVar[str]

    @classmethod
    def correct_use(cls, parameter: str) -> str:
        """Return the correct code for a parameter, for error messages."""
        return cls._use.format(name=parameter)


class ApiModel(TrustedModel, BaseModel):
    """Base class of the auth server's responses. It is frozen and keeps unknown fields, which later servers may add.

    `to_json` returns exactly what the server sent. The repr leaves out unknown fields, because they may be secrets.
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, hide_input_in_errors=True)

    _use: ClassVar[str] = "a dependency that returns it, in Depends(...)"

    def to_json(self) -> dict[str, JsonValue]:
        """Return the JSON that the server sent, without the fields that it left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        extra = self.model_extra or {}
        return ((name, value) for name, value in super().__repr_args__() if name not in extra)


class ApiRequestBody(BaseModel):
    """Base class of request bodies. Only fields that are set are sent, so None clears a value.

    A field that is not set keeps its value. Unknown fields are rejected, so that a caller cannot set fields it may not
    set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server_only: ClassVar[bool] = False

    def to_json(self) -> dict[str, JsonValue]:
        """Return the fields that are set, as JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
