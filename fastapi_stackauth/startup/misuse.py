"""Find mistakes that FastAPI accepts but that leave a route unprotected, before the app serves its first request.

The guards in `guards.py` raise when a route is declared. This module finds the mistakes that they cannot see: `user:
User` without `Depends` is a valid request body, and `user = current_user` is a valid default. It reads the parameters
from FastAPI's own analysis of each route, so the two never disagree.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import is_dataclass
from itertools import chain
from types import FunctionType
from typing import Annotated, Any, ClassVar, ForwardRef, Literal, TypeVar, get_args, get_origin, get_type_hints

from fastapi import FastAPI, params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_typed_annotation, get_typed_signature
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_stackauth.errors import MisuseError
from fastapi_stackauth.http.schemes import OPTIONAL_SCHEME_NAME, Secured, unwrap_dependency
from fastapi_stackauth.models.base import TrustedModel
from fastapi_stackauth.startup.guards import Guarded
from fastapi_stackauth.startup.routes import DeclaredRoute, describe_misplacement, find_hidden_pages, iterate_routes

T = TypeVar("T")

_PACKAGE = "fastapi_stackauth"


def check_routes(app: FastAPI, *, whole_paths: bool = False) -> None:
    """Check how the routes of an app and of its mounted apps use this library.

    Args:
        app: The app.
        whole_paths: Whether a server runs `app` itself, so that no mount around it can add path parameters.

    Raises:
        MisuseError: There are mistakes. The message lists each with its route, its parameter and the correct code.
    """
    routes = tuple(iterate_routes(app))
    faults = [f"{route}: {fault}" for route in routes for fault in _route_faults(route, whole_paths)]
    faults += find_hidden_pages(routes)
    if faults:
        count = "One mistake" if len(faults) == 1 else f"{len(faults)} mistakes"
        listed = "".join(f"\n- {fault}" for fault in dict.fromkeys(faults))
        raise MisuseError(f"{count} in how the routes of this app use fastapi-stackauth:{listed}")


def install_check(app: FastAPI) -> None:
    """Check an app when it starts and at its first connection, because the lifespan of a mounted app never runs.

    Starlette builds an app's middleware once, when the first connection arrives, so later requests are not slowed down.
    """
    build, lifespan = app.build_middleware_stack, app.router.lifespan_context

    def build_checked() -> ASGIApp:
        stack = build()
        try:
            check_routes(app)
        except MisuseError as error:
            return _close_app(stack, error)
        return stack

    @asynccontextmanager
    async def checked_lifespan(scope_app: Any) -> Any:  # noqa: ANN401 - Starlette's own types
        async with lifespan(scope_app) as state:  # because the lifespan may add routes
            # An outer app may enter the lifespan itself. If a server runs this app, the middleware exists by now.
            check_routes(app, whole_paths=app.middleware_stack is not None)
            yield state

    app.build_middleware_stack = build_checked  # type: ignore[method-assign]  # Starlette has no hook for this
    app.router.lifespan_context = checked_lifespan


def _close_app(app: ASGIApp, error: MisuseError) -> ASGIApp:
    """Return an app that raises on each connection. Its lifespan still runs, so that the error stops the server."""

    async def fail_request(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise error
        await app(scope, receive, send)

    return fail_request


# --- one route ---


def _route_faults(route: DeclaredRoute, whole_paths: bool) -> Iterator[str]:
    if misplacement := describe_misplacement(route):
        yield misplacement
    for dependant in _dependants(route.dependant):
        yield from _dependency_faults(dependant)
        yield from _parameter_faults(dependant)
        yield from _optional_faults(dependant)
        if whole_paths:
            yield from _path_faults(dependant, route)


def list_dependencies(route: DeclaredRoute) -> Iterator[object]:
    """Iterate over the callables that FastAPI calls for a route, except for the endpoint."""
    nodes = _dependants(route.dependant)
    next(nodes, None)
    return (unwrap_dependency(node.call) for node in nodes)


def _dependants(dependant: Dependant | None) -> Iterator[Dependant]:
    if dependant is not None:
        yield dependant
        for inner in dependant.dependencies:
            yield from _dependants(inner)


def _dependency_faults(dependant: Dependant) -> Iterator[str]:
    """Find the mistakes in the argument of `Depends(...)` or `Security(...)`."""
    call: Any = unwrap_dependency(dependant.call)
    name = dependant.name or "value"
    if isinstance(call, Secured):
        if not _is_asynchronous(type(call).__call__):
            yield (
                f"{type(call).__name__}.__call__ is not async, so FastAPI does not await what it returns and "
                "checks no caller. Write `async def __call__`, and await super().__call__(connection, scopes) in it."
            )
        if scopes := [*(dependant.parent_oauth_scopes or ()), *(dependant.own_oauth_scopes or ())]:
            yield (
                f"Security(..., scopes={scopes}) reaches {_describe(call)}, but tokens of Stack Auth have no scopes. "
                "Write Depends(...), and Require(permission=...) for permissions."
            )
    elif model := _class_in(call, TrustedModel):
        yield f"Depends({model.__name__}) lets the caller choose it. Write {model.correct_use(name)}."
    elif guarded := _class_in(call, Guarded):
        use = guarded.correct_use()
        yield f"Depends({guarded.__name__}[...]) passes the class and does not check the caller. Write {use}."
    elif isinstance(call, type) and _is_of_package(call):
        yield (
            f"Depends({call.__name__}) creates a new {call.__name__} for each request and does not check the caller. "
            f"Write a dependency such as current_user inside Depends(...)."
        )
    elif get_origin(call) is not None and (inner := _dependency_in(call)):
        yield f"Depends(...) wraps an alias that already contains Depends({_describe(inner)}). Write the alias alone."


def _path_faults(dependant: Dependant, route: DeclaredRoute) -> Iterator[str]:
    call: Any = unwrap_dependency(dependant.call)
    if not isinstance(call, Secured):
        return
    for place, name in call.describe().parameters:
        if place == "path" and name not in route.path_parameters:
            yield (
                f"{_describe(call)} reads the team's id from the path parameter {name!r}, which is not in this path. "
                f'Add {{{name}}} to the path, or name another place for the id, such as team="query:{name}".'
            )


# --- one parameter ---


def _parameter_faults(dependant: Dependant) -> Iterator[str]:
    """Find parameters that FastAPI reads from the request although a dependency was intended."""
    kinds = ("path_params", "query_params", "header_params", "cookie_params", "body_params")
    read = {field.name for field in chain.from_iterable(getattr(dependant, kind) for kind in kinds)}
    if not read or dependant.call is None:
        return
    names = getattr(inspect.unwrap(dependant.call), "__globals__", {})
    for parameter in get_typed_signature(dependant.call).parameters.values():
        if parameter.name in read and (fault := _parameter_fault(parameter, names)):
            yield f"parameter `{parameter.name}` {fault}"


def _optional_faults(dependant: Dependant) -> Iterator[str]:
    """Find parameters with a type that excludes None, although their dependency may return None."""
    optional = {inner.name: inner.call for inner in dependant.dependencies if _may_give_none(inner.call)}
    if not optional or dependant.call is None:
        return
    for parameter in get_typed_signature(dependant.call).parameters.values():
        annotation = parameter.annotation
        stated = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
        model = _class_in(stated, TrustedModel)
        if parameter.name in optional and model:
            yield (
                f"parameter `{parameter.name}` is a {model.__name__}, but {_describe(optional[parameter.name])} gives "
                f"None to callers who are not signed in. Write `{parameter.name}: OptionalUser`, or "
                f"`{parameter.name}: CurrentUser` if callers must be signed in."
            )


def _parameter_fault(parameter: inspect.Parameter, names: Mapping[str, Any]) -> str | None:
    default = parameter.default.default if isinstance(parameter.default, FieldInfo) else parameter.default
    if isinstance(default, TrustedModel):
        return f"has a {type(default).__name__} as its default value. Write {default.correct_use(parameter.name)}."
    if meant := _dependency_in(default):
        return f"has {_describe(meant)} as its default value, so the caller is not checked. Write {_find_use(meant)}."
    parts = tuple(_parts(parameter.annotation, names))
    for meant in filter(None, map(_meant_by, parts)):
        return f"has {_describe(meant)} in its annotation, where FastAPI ignores it. Write {_find_use(meant)}."
    for reference in (part for part in parts if isinstance(part, ForwardRef)):
        return (
            f"has the annotation {reference.__forward_arg__!r}, which is not defined in its module, so FastAPI would "
            f"miss a Depends(...) in it. Define or import the name at the top of the module."
        )
    for field, meant in _ignored_in(parts, names, set()):
        return (
            f"contains {_describe(meant)} in `{field}`, where FastAPI ignores it. If the class is a dependency, write "
            f"`{parameter.name}: Annotated[{field.partition('.')[0]}, Depends()]`; otherwise make the value a separate "
            f"parameter."
        )
    for model in filter(None, (_class_in(part, TrustedModel) for part in parts)):
        return None if _has_explicit_body(parameter) else _model_fault(model, parameter.name)
    return None


def _model_fault(model: type[TrustedModel], parameter: str) -> str:
    name, use = model.__name__, model.correct_use(parameter)
    return (
        f"is a {name} that FastAPI reads from the request, so the caller chooses it. Write {use}. "
        f"If the app really takes one as the body, write `{parameter}: Annotated[{name}, Body()]`."
    )


def _has_explicit_body(parameter: inspect.Parameter) -> bool:
    """Whether the app declares this parameter with `Body()`. As in FastAPI, the last marker counts."""
    if isinstance(parameter.default, params.Body):
        return True
    annotation = getattr(parameter.annotation, "__value__", parameter.annotation)  # of `type X = ...`
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    markers = [marker for marker in metadata if isinstance(marker, params.Param | params.Body)]
    return bool(markers) and isinstance(markers[-1], params.Body)


def _parts(annotation: Any, names: Mapping[str, Any], above: tuple[object, ...] = ()) -> Iterator[Any]:  # noqa: ANN401 - any annotation
    """Iterate over an annotation and its parts: members of unions, items of lists, dependencies in Annotated.

    Args:
        annotation: The annotation.
        names: The names that strings in it may refer to. FastAPI itself only resolves a string that is the whole
            annotation.
        above: The annotations that contain this one.
    """
    annotation = _resolve(annotation, names)
    if any(annotation is outer for outer in above):  # an alias that contains itself, such as pydantic's JsonValue
        return
    yield annotation
    inner = list(_arguments(annotation))
    # An alias by `type X = ...`, a NewType and a TypeVar refer to another type.
    inner += [getattr(annotation, name, None) for name in ("__supertype__", "__bound__")]
    inner += annotation.__constraints__ if isinstance(annotation, TypeVar) else ()
    for each in inner:
        if each is not None:
            yield from _parts(each, names, (*above, annotation))
    if (meant := getattr(annotation, "__value__", None)) is not None:
        aliased = _parts(meant, names, (*above, annotation))
        yield from (part for part in aliased if not isinstance(part, ForwardRef))  # its names refer to its own module


def _arguments(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - any annotation
    """Iterate over the arguments of an annotation. A string is the name of a type, except in `Annotated`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from (argument for argument in arguments if not isinstance(argument, str))
    elif origin is not Literal:
        yield from (ForwardRef(argument) if isinstance(argument, str) else argument for argument in arguments)


def _resolve(annotation: Any, names: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any annotation
    text = annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation
    return get_typed_annotation(text, dict(names)) if isinstance(text, str) else annotation


def _ignored_in(parts: Iterable[Any], names: Mapping[str, Any], seen: set[type]) -> Iterator[tuple[str, Any]]:
    """Iterate over the fields of a parameter's type that contain a dependency of this library: name and dependency."""
    for part in parts:
        cls = get_origin(part) or part
        if isinstance(cls, type) and not issubclass(cls, TrustedModel) and cls not in seen:
            seen.add(cls)
            for field, annotation, beside in _fields(cls):
                inner = [*_parts(annotation, names), *beside]
                yield from ((f"{cls.__name__}.{field}", meant) for meant in map(_meant_by, inner) if meant)
                yield from _ignored_in(inner, names, seen)


def _fields(cls: type) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Iterate over the fields of a class that pydantic reads: name, annotation and metadata."""
    if issubclass(cls, BaseModel):
        for name, field in cls.model_fields.items():
            yield name, field.annotation, (field.default, *field.metadata)
    # `typing.is_typeddict` does not detect those of typing_extensions, which pydantic requires before Python 3.12.
    elif is_dataclass(cls) or issubclass(cls, tuple) or hasattr(cls, "__total__"):
        try:
            hints = get_type_hints(cls, include_extras=True)
        except Exception:  # noqa: BLE001 - an annotation may contain anything, such as a name that only type checkers know
            hints = getattr(cls, "__annotations__", {})
        for name, annotation in hints.items():
            if get_origin(annotation) is not ClassVar:
                yield name, annotation, (getattr(cls, name, None),)


# --- what is ours ---


def _dependency_in(value: object) -> Any:  # noqa: ANN401 - an instance, a class or a function
    """Return the value if it is a dependency or model of this library, or the one in an alias; else None."""
    if _is_ours(value) or _class_in(value, TrustedModel):
        return value
    if get_origin(value) is None:
        return None
    return next(filter(None, map(_meant_by, _parts(value, {}))), None)


def _may_give_none(call: object) -> bool:
    """Whether this is `optional_user` or similar. A subclass with its own `__call__` may raise instead."""
    call = unwrap_dependency(call)
    if not isinstance(call, Secured) or call.base_name != OPTIONAL_SCHEME_NAME:
        return False
    method: Any = type(call).__call__
    return _is_of_package(method)


def _is_asynchronous(function: Any) -> bool:  # noqa: ANN401 - a function, perhaps decorated
    """Whether FastAPI awaits a function's result or enters it as a context manager."""
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return any(kind(inspect.unwrap(function)) for kind in kinds)


def _meant_by(part: object) -> Any:  # noqa: ANN401 - an instance, a class or a function
    """Return the part of an annotation, or the argument of its `Depends`, if it is a dependency of this library."""
    meant = part.dependency if isinstance(part, params.Depends) else part
    return meant if _is_ours(meant) else None


def _is_ours(value: object) -> bool:
    """Whether this is a dependency of this library, a guarded class, or a function such as `sign_in_methods`."""
    if isinstance(value, FunctionType):
        return _is_of_package(value)
    return isinstance(value, Guarded) or _class_in(value, Guarded) is not None


def _is_of_package(value: FunctionType | type) -> bool:
    return value.__module__.partition(".")[0] == _PACKAGE


def _class_in(value: object, base: type[T]) -> type[T] | None:
    """Return the value without type arguments if it is a class derived from `base`."""
    origin = get_origin(value) or value
    return origin if isinstance(origin, type) and issubclass(origin, base) else None


def _describe(value: Any) -> str:  # noqa: ANN401 - an instance, a class or a function
    return f"{type(value).__name__}(...)" if isinstance(value, Guarded) else str(value.__name__)


def _find_use(value: Any) -> str:  # noqa: ANN401 - an instance, a class or a function
    if isinstance(value, FunctionType):
        return f"`Annotated[..., Depends({value.__name__})]` as the annotation"
    model = _class_in(value, TrustedModel)
    return model.correct_use("value") if model else str(value.correct_use())
