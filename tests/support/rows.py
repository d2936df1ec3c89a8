"""Many rows of data in one test, which reports every row that fails.

`@rows(...)` takes the place of `@pytest.mark.parametrize(...)` if the cases cost next to nothing and differ in data
alone: pytest spends more time on a case of its own than such a row takes. All rows share the test's fixtures, so a
test that changes what its fixtures made keeps `parametrize`, or makes its own.
"""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

Test = Callable[..., Any]
Row = tuple[str, dict[str, Any]]  # a label, and the arguments of the test
_WIDTH = 100


def rows(
    names: str | Sequence[str], values: Iterable[Any], *, ids: Iterable[str] | Callable[[Any], str] | None = None
) -> Callable[[Test], Test]:
    """Run the test once for each row of `values`; several `@rows` give every combination.

    Args:
        names: The arguments that a row gives: a tuple, or a text with commas.
        values: One value for each row, or one tuple if there are several names. `pytest.param` is understood.
        ids: The labels of the rows, or what makes the label of a value. By default, a label shows the values.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    given = list(_label_rows(arguments, list(values), ids))
    assert given, f"@rows({names!r}) has no rows"

    def decorate(test: Test) -> Test:
        inner: Any = getattr(test, "rows_test", test)
        inner_rows: list[Row] = getattr(test, "rows_given", [("", {})])
        every = [
            (", ".join(filter(None, (label, other))), more | some)
            for (label, more), (other, some) in itertools.product(given, inner_rows)
        ]
        return _wrapper(inner, every)

    return decorate


def _label_rows(names: list[str], values: list[Any], ids: Any) -> Iterator[Row]:
    labels = itertools.repeat(None) if ids is None or callable(ids) else iter(ids)
    for value, label in zip(values, labels, strict=False):
        values_of_row: Any = value if len(names) > 1 else (value,)
        if isinstance(value, type(pytest.param())):
            assert not value.marks, "a row takes no marks: it is no test of its own"
            values_of_row, label = value.values, label or value.id  # noqa: PLW2901 - a parameter brings its label
        assert len(values_of_row) == len(names), (names, values_of_row)
        arguments = dict(zip(names, values_of_row, strict=True))
        make = ids if callable(ids) else _format_value
        yield label or ", ".join(f"{name}={make(it)}" for name, it in arguments.items()), arguments


def _format_value(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."


def _wrapper(test: Test, every: list[Row]) -> Test:
    wrapper: Any
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def wrapper(**fixtures: Any) -> None:
            failures: list[tuple[str, BaseException]] = []
            for label, arguments in every:
                try:
                    await test(**fixtures, **arguments)
                except _FAILURES as failure:
                    failures.append((label, _stop_at_a_timeout(failure)))
            _report(failures, len(every))
    else:

        @functools.wraps(test)
        def wrapper(**fixtures: Any) -> None:
            failures: list[tuple[str, BaseException]] = []
            for label, arguments in every:
                try:
                    test(**fixtures, **arguments)
                except _FAILURES as failure:
                    failures.append((label, _stop_at_a_timeout(failure)))
            _report(failures, len(every))

    signature = inspect.signature(test)
    fixtures = [it for name, it in signature.parameters.items() if name not in every[0][1]]
    assert len(fixtures) == len(signature.parameters) - len(every[0][1]), f"{test.__name__} does not take every column"
    wrapper.__signature__ = signature.replace(parameters=fixtures)  # the fixtures, which pytest fills in
    wrapper.rows_test, wrapper.rows_given = test, every
    return cast("Test", wrapper)


# `pytest.raises` fails with an exception that is no `Exception`; a row that skips would hide the rows behind it.
_FAILURES = (Exception, pytest.fail.Exception, pytest.skip.Exception)


def _stop_at_a_timeout(failure: BaseException) -> BaseException:
    """pytest-timeout interrupts a test once: the rows behind the one that hung would run without a limit."""
    if isinstance(failure, pytest.fail.Exception) and str(failure).startswith("Timeout"):
        raise failure
    return failure


def _report(failures: list[tuple[str, BaseException]], count: int) -> None:
    if not failures:
        return
    lines = [f"{len(failures)} of {count} rows failed"]
    for label, failure in failures:
        message = str(failure).strip() or "no message"
        if not isinstance(failure, (AssertionError, pytest.fail.Exception)):
            message = f"{type(failure).__name__}: {message}"
        lines.append(f"[{label}] {_place(failure)}\n    " + message.replace("\n", "\n    "))
    raise AssertionError("\n".join(lines)) from failures[0][1]


def _place(failure: BaseException) -> str:
    """Return the file and line of the test, below this module, in which a row failed."""
    trace = failure.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
