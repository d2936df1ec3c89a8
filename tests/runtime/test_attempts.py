"""Counters of attempts in one worker: exact, of constant work, bounded, and those under attack are evicted last."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth import ConfigurationError, StackAuth
from fastapi_stackauth.errors import RateLimitExceeded
from fastapi_stackauth.runtime.limits import MOST_AMOUNT, MOST_ATTEMPTS, MOST_COUNTERS, AttemptCounters
from tests.support.work import lines_run


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def work_of_attempts(amount: int, known: int) -> int:
    """The most work of one attempt beside so many counters: of a known key, of a new one, and after the window."""
    clock = Clock()
    counters = AttemptCounters(amount, 60, most=known, clock=clock)
    for number in range(known):
        counters.hit(str(number))

    def attempt(key: str) -> int:
        return lines_run(lambda: counters.hit(key))

    work = [attempt(str(number)) for number in range(known - 5, known + 5)]
    clock.now += 61
    return max(*work, attempt("another"))


@pytest.mark.parametrize("amount", [1, 5, 100])
def test_an_attempt_costs_the_same_with_many_counters(amount: int):
    """An attempt is the same work however many counters there are."""
    assert len({work_of_attempts(amount, known) for known in (10, 100, 1_000, 10_000)}) == 1


async def test_the_limiter_costs_the_same_with_many_accounts():
    """And starts no task and no thread: the in-memory storage of `limits` hops to a thread for every key, for ever."""
    stack = StackAuth(project_id="p", rate_limit_account="2/minute")

    def attempt(account: str) -> None:
        with suppress(StopIteration):  # it waits for nothing
            stack.limiter.count("sign_in", address=None, account=account).send(None)

    counts = []
    for known in (10, 100, 1_000):
        for number in range(known):
            attempt(f"{known}-{number}")
        counts.append(lines_run(partial(attempt, f"one more than {known}")))
    assert len(set(counts)) == 1, counts
    assert len(asyncio.all_tasks()) == 1
    await stack.aclose()


def test_the_number_of_counters_is_bounded():
    counters = AttemptCounters(5, 60, most=100, clock=Clock())
    for number in range(1_000):
        counters.hit(str(number))
        assert len(counters) <= 100
    for amount in (1, 10, 1_000, MOST_AMOUNT):
        assert AttemptCounters(amount, 60).most * amount <= max(MOST_ATTEMPTS, MOST_COUNTERS)


@pytest.mark.parametrize("held", [2, 3, 4, 5])
def test_a_counter_under_attack_survives_a_flood_of_others(held: int):
    """Else an attacker would flood the worker with made-up accounts, and go on guessing."""
    counters = AttemptCounters(5, 60, most=100, clock=Clock())
    for _ in range(held):
        counters.hit("ada")
    for number in range(10_000):
        counters.hit(str(number))
    assert [counters.hit("ada") > 0 for _ in range(5)] == [attempt >= 5 - held for attempt in range(5)]


async def test_floods_of_accounts_and_addresses_are_independent(monkeypatch: pytest.MonkeyPatch):
    """A flood of accounts forgets no address and the other way round."""
    monkeypatch.setattr("fastapi_stackauth.runtime.limits.MOST_COUNTERS", 100)
    stack = StackAuth(project_id="p", rate_limit_address="1/minute", rate_limit_account="1/minute")
    await stack.limiter.count("sign_in", address="192.0.2.1", account="ada")
    for number in range(1_000):
        await stack.limiter.count("sign_in", address=None, account=str(number))
    with pytest.raises(RateLimitExceeded):
        await stack.limiter.count("sign_in", address="192.0.2.1")
    await stack.limiter.count("sign_in", address=None, account="grace")
    for number in range(1_000):
        await stack.limiter.count("sign_in", address=f"10.0.{number // 250}.{number % 250}")
    with pytest.raises(RateLimitExceeded):
        await stack.limiter.count("sign_in", address=None, account="grace")
    await stack.aclose()


def test_counters_whose_window_is_over_go_by_themselves():
    clock = Clock()
    counters = AttemptCounters(5, 60, clock=clock)
    for number in range(100):
        for _ in range(number % 6):
            counters.hit(str(number))
    clock.now += 61
    for _ in range(100):
        counters.hit("ada")
    assert len(counters) == 1


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 1.0, 9.5, 10.0, 30.0])), max_size=60),
)
def test_it_counts_as_a_plain_list_would(amount: int, attempts: list[tuple[str, float]]):
    clock, window = Clock(), 10.0
    counters = AttemptCounters(amount, window, clock=clock)
    accepted: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for key, pause in attempts:
        clock.now += pause
        recent = [time for time in accepted[key] if time > clock.now - window]
        wait = counters.hit(key)
        if len(recent) < amount:
            assert wait == 0
            accepted[key].append(clock.now)
        else:
            assert wait == pytest.approx(recent[-amount] + window - clock.now)


@pytest.mark.parametrize("limit", ["0/minute", f"{MOST_AMOUNT + 1}/minute"])
@pytest.mark.parametrize("setting", ["rate_limit_address", "rate_limit_account"])
def test_a_limit_that_allows_all_or_none_is_an_error(setting: str, limit: str):
    with pytest.raises(ConfigurationError, match=rf"{setting} must allow 1 to \d+ .*{limit}"):
        StackAuth(project_id="p", **{setting: limit})  # type: ignore[arg-type]  # any setting
