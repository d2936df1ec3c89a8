"""Calls that are shared, and what is kept for each event loop."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from fastapi_stackauth.runtime.loops import FreshSingleFlight, PerLoop, SingleFlight
from tests.support.world import turns


class Calls:
    """Answers 1, 2, 3, ... each when told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.gates: list[asyncio.Event] = []

    async def __call__(self) -> int:
        self.begun += 1
        number, gate = self.begun, asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        return number


async def test_a_single_flight_is_shared_and_the_next_one_is_new():
    flight: SingleFlight[int] = SingleFlight()
    calls = Calls()
    waiters = [asyncio.create_task(flight.run("k", calls)) for _ in range(5)]
    other = asyncio.create_task(flight.run("other", calls))
    await turns(3)
    assert (calls.begun, flight.count(), flight.running("k")) == (2, 2, True)
    for gate in calls.gates:
        gate.set()
    assert await asyncio.gather(*waiters) == [1] * 5
    assert await other == 2
    assert not flight.running("k")
    again = asyncio.create_task(flight.run("k", calls))
    await turns(3)
    calls.gates[2].set()
    assert await again == 3


async def test_waiters_share_a_failure_and_the_next_call_retries():
    """All who wait learn of a failure and the next one tries again."""
    flight: SingleFlight[int] = SingleFlight()
    fail = True

    async def fetch() -> int:
        await asyncio.sleep(0)
        if fail:
            raise ValueError("no")
        return 1

    results = await asyncio.gather(*(flight.run("k", fetch) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    fail = False
    assert await flight.run("k", fetch) == 1


@pytest.mark.parametrize("kind", [SingleFlight, FreshSingleFlight])
async def test_a_failure_that_nobody_waits_for_is_no_warning(kind: Any, recwarn: pytest.WarningsRecorder):
    flight = kind()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def fetch() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    waiter = asyncio.create_task(flight.run("k", fetch))
    await asyncio.sleep(0)
    waiter.cancel()
    await turns(5)
    del waiter
    gc.collect()
    assert complaints == []
    assert len(recwarn) == 0


@pytest.mark.parametrize("kind", [SingleFlight, FreshSingleFlight])
async def test_closing_cancels_what_is_under_way(kind: Any):
    flight, calls = kind(), Calls()
    waiter = asyncio.create_task(flight.run("k", calls))
    await turns(3)
    await flight.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await flight.aclose()


async def test_a_fresh_flight_never_returns_an_earlier_call():
    """A next flight never gives an answer that was begun before the question."""
    flight: FreshSingleFlight[int] = FreshSingleFlight()
    calls = Calls()
    first = asyncio.create_task(flight.run("k", calls))
    await turns(3)
    late = [asyncio.create_task(flight.run("k", calls)) for _ in range(5)]  # the first call has begun
    await turns(5)
    assert calls.begun == 1
    calls.gates[0].set()
    await turns(5)
    assert calls.begun == 2
    later = asyncio.create_task(flight.run("k", calls))
    await turns(5)
    assert calls.begun == 2
    calls.gates[1].set()
    await turns(5)
    calls.gates[2].set()
    assert (await first, await asyncio.gather(*late), await later) == (1, [2] * 5, 3)
    assert flight.count() == 0


async def test_those_who_ask_together_before_a_call_begins_share_it():
    flight: FreshSingleFlight[int] = FreshSingleFlight()
    calls = Calls()
    waiters = [asyncio.create_task(flight.run("k", calls)) for _ in range(5)]
    await turns(3)
    calls.gates[0].set()
    assert await asyncio.gather(*waiters) == [1] * 5


async def test_a_cancelled_waiter_of_a_next_flight_harms_no_other():
    flight: FreshSingleFlight[int] = FreshSingleFlight()
    calls = Calls()
    waiters = [asyncio.create_task(flight.run("k", calls)) for _ in range(4)]
    await turns(3)
    queued = [asyncio.create_task(flight.run("k", calls)) for _ in range(4)]
    await turns(3)
    waiters[0].cancel()
    queued[0].cancel()
    await turns(3)
    calls.gates[0].set()
    await turns(5)
    calls.gates[1].set()
    assert await asyncio.gather(*waiters[1:], *queued[1:]) == [1] * 3 + [2] * 3


async def test_a_call_that_fails_does_not_fail_the_one_that_follows():
    flight: FreshSingleFlight[int] = FreshSingleFlight()
    gate = asyncio.Event()

    async def fail() -> int:
        await gate.wait()
        raise ValueError("no")

    async def succeed() -> int:
        return 2

    first = asyncio.create_task(flight.run("k", fail))
    await turns(3)
    second = asyncio.create_task(flight.run("k", succeed))
    await turns(3)
    gate.set()
    with pytest.raises(ValueError, match="no"):
        await first
    assert await second == 2


def test_a_value_belongs_to_its_loop_and_is_forgotten_with_it():
    class Value:
        pass

    values: PerLoop[Value] = PerLoop(Value)

    async def get() -> Value:
        assert values.get() is values.get()
        return values.get()

    first = asyncio.run(get())
    watched = weakref.ref(first)
    second = asyncio.run(get())
    assert first is not second
    del first
    gc.collect()
    assert watched() is None


def test_a_value_with_its_loop_is_dropped_by_another_loop():
    """A connection pool does; the weak key alone would keep both alive."""

    class Pool:
        def __init__(self) -> None:
            self.loop = asyncio.get_running_loop()

    pools: PerLoop[Pool] = PerLoop(Pool)

    async def get() -> "weakref.ref[Pool]":
        return weakref.ref(pools.get())

    watched = [asyncio.run(get()) for _ in range(3)]
    gc.collect()
    assert [pool() is None for pool in watched] == [True, True, False]


def test_outside_a_loop_there_is_no_value():
    with pytest.raises(RuntimeError):
        PerLoop(object).get()
