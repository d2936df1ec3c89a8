"""`tests.support.rows` hides no failure: a test of many rows fails if one of them does, and names each that did."""

import asyncio
import inspect

import pytest

from tests.support.rows import rows


@pytest.fixture
def shared_server() -> list[object]:
    return []


@rows("number", [1, 2, 3])
@rows(("letter", "word"), [("a", "apple"), pytest.param("b", "bear", id="the bear")])
def test_rows_and_fixtures_reach_the_test(shared_server: list[object], number: int, letter: str, word: str):
    """Each combination comes once, and all rows have the same fixtures."""
    assert (number, letter) not in shared_server
    shared_server.append((number, letter))
    assert word.startswith(letter)


@rows("number", range(3))
async def test_rows_of_async_tests_are_awaited(shared_server: list[object], number: int):
    """The rows run one after the other, on one event loop."""
    await asyncio.sleep(0)
    shared_server.append(number)
    assert shared_server == list(range(number + 1))


def test_every_failing_row_is_reported():
    """The report has the row's label, its place and its message; rows that passed are not in it."""

    @rows("number", [1, 2, 3, 4])
    @rows("other", [10], ids=["ten"])
    def check(number: int, other: int) -> None:
        assert number % 2, f"{number} is even"
        if number == 3:
            with pytest.raises(ValueError, match="never"):
                int("3")
        int("1" if number == 1 else "no")

    with pytest.raises(AssertionError) as caught:
        check()
    report = str(caught.value)
    assert report.startswith("3 of 4 rows failed")
    assert "[number=2, ten] test_rows.py:" in report
    assert "2 is even" in report
    assert "DID NOT RAISE" in report
    assert "number=1" not in report
    assert caught.value.__cause__ is not None, "pytest shows the first failure in full"


async def test_a_failing_row_of_an_async_test_is_reported():
    """An awaited failure counts, and so does an error that is no assertion."""

    @rows("value", ["1", "x"], ids=repr)
    async def check(value: str) -> None:
        await asyncio.sleep(0)
        int(value)

    with pytest.raises(AssertionError, match=r"1 of 2 rows failed\n\[value='x'\] .*\n +ValueError: invalid literal"):
        await check()


def test_a_row_cannot_skip():
    """Else the rows behind it would not run, and none would notice."""

    @rows("value", [1, 2])
    def check(value: int) -> None:
        if value == 1:
            pytest.skip("not today")

    with pytest.raises(AssertionError, match="1 of 2 rows failed"):
        check()


def test_a_timeout_ends_the_test():
    """pytest-timeout rings once: the rows behind the one that hung would have no limit."""
    seen = []

    @rows("value", [1, 2])
    def check(value: int) -> None:
        seen.append(value)
        pytest.fail("Timeout (>120.0s) from pytest-timeout.")

    with pytest.raises(pytest.fail.Exception, match="Timeout"):
        check()
    assert seen == [1]


def test_mistakes_in_the_declaration_raise():
    """No rows, a column that the test does not take, a row of another length and marks are errors."""
    with pytest.raises(AssertionError, match="no rows"):
        rows("value", [])
    with pytest.raises(AssertionError, match="does not take"):
        rows("value", [1])(lambda other: None)
    with pytest.raises(AssertionError):
        rows("one, two", [(1, 2, 3)])
    with pytest.raises(AssertionError, match="no marks"):
        rows("value", [pytest.param(1, marks=pytest.mark.xfail)])
    assert list(inspect.signature(test_rows_and_fixtures_reach_the_test).parameters) == ["shared_server"]
