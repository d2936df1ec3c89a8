"""Guards: if an app passes a class to FastAPI instead of an instance, the declaration of the route raises.

FastAPI asks `inspect` for the signature of each dependency and pydantic for the schema of each parameter. A guarded
class raises in both places, and so does an alias inside `Depends`. Instances are not affected.
"""

import inspect
from typing import Any, ClassVar, NoReturn

from fastapi_stackauth.errors import MisuseError


class _Misused(inspect.Signature):
    """The signature of a class that is not a dependency.

    FastAPI reads its parameters when a route is declared, and reading them raises.

    `inspect`, `pydoc` and `unittest.mock` keep working: they get a signature, and its text is ``(...)``.
    """

    __slots__ = ("_message",)

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message

    @property
    def parameters(self) -> NoReturn:
        """Raise.

        Raises:
            MisuseError: Always.
        """
        raise MisuseError(self._message)

    def format(self, **_options: Any) -> str:  # noqa: ANN401 - the options of `inspect.Signature.format`
        """Return the text that `pydoc` shows."""
        return "(...)"

    def __str__(self) -> str:
        return self.format()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._message}>"


class _ClassSignature:
    """The `__signature__` of a guarded class. Instances do not have it, so `inspect` uses their `__call__`."""

    def __get__(self, instance: object, owner: type["Guarded"]) -> _Misused:
        if instance is not None:
            raise AttributeError("__signature__")
        return _Misused(
            f"Depends({owner.__name__}) passes the class, so the caller is not checked. Expected an instance. "
            f"Write {owner.correct_use()}."
        )


class Guarded:
    """Base class of dependencies: an instance is a dependency; the class is neither a dependency nor a type of data.

    Subclasses set `_use` to the correct code, with ``{name}`` for the name of the class.
    """

    __slots__ = ()

    _use: ClassVar[str]
    __signature__ = _ClassSignature()

    @classmethod
    def correct_use(cls) -> str:
        """Return the correct code, for error messages."""
        return cls._use.format(name=cls.__name__)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> NoReturn:  # noqa: ANN401 - pydantic's own types
        """Raise, because FastAPI would read a parameter of this type from the request without checking the caller.

        Raises:
            MisuseError: Always.
        """
        raise MisuseError(
            f"{cls.__name__} is in an annotation without Depends(...), so FastAPI reads a value from the request "
            f"and checks no caller. Expected a dependency. Write {cls.correct_use()}."
        )


def guard_alias(alias: Any, name: str) -> None:  # noqa: ANN401 - typing has no public type for an Annotated alias
    """Make `Depends(Alias)` raise when the route is declared. The alias still works as an annotation.

    Args:
        alias: The `Annotated` alias.
        name: The public name of the alias.
    """
    alias.__signature__ = _Misused(
        f"Depends({name}) wraps an alias that contains Depends(...) already. Use the alias itself as the annotation. "
        f"Write `value: {name}`."
    )
