"""The soak: everything that people do, mixed, for minutes; memory, sockets and tasks of two workers stay flat.

`make soak` runs it for ten minutes, `SOAK_SECONDS=60 make soak` for one. docs/drills.md has the figures.
"""

import asyncio
import os
import statistics
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.drills.people import ORIGIN, Kind, Person
from tests.drills.world import Counts, World, world

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
WARM_UP = min(120.0, SECONDS / 3)
PEOPLE = 24
ROTATE_EVERY, SAMPLE_EVERY = 45.0, 5.0
SPARE_KIB = 8 * 1024  # that a worker may grow by after its warm-up, beside a tenth

pytestmark = pytest.mark.timeout(SECONDS + 300)

_KEYS_ARE_GONE = ("token_expired", "token_key_unknown", "token_signature_invalid")


class Regular(Person):
    """Somebody who also signs out, comes back, and opens WebSockets; whose bearer token dies when keys are rotated."""

    renew_at = _KEYS_ARE_GONE

    async def turn(self, number: int) -> None:
        """One of the things that people do; one in fifty is to sign out and in again, one in ten a WebSocket."""
        if number % 50 == 49:
            await self.leave_and_come_back()
        elif number % 10 == 9:
            await self.listen()
        else:
            await self.step()

    def _is_nobody(self, answer: httpx.Response) -> bool:
        """A bearer token that has expired, or whose key is gone, is nobody's to an optional route."""
        return self.kind == "bearer" and answer.json() == "nobody"

    async def leave_and_come_back(self) -> None:
        body = {"refresh_token": self.tokens["refresh_token"]} if self.kind == "bearer" else None
        answer, _ = await self.call("POST", f"{self._prefix}/sign-out", body)
        if answer.status_code != 204:
            self.violation("sign-out", answer)
        if self.kind == "cookie":  # without Redis, the other worker takes a bearer token until it expires
            answer, _ = await self.call("GET", "/me")
            if answer.status_code != 401:
                self.violation("still signed in", answer)
        await self.enter()

    async def listen(self) -> None:
        """Be told by a WebSocket who one is."""
        url = f"{next(self._workers)}/feed".replace("http", "ws", 1)
        try:
            async with connect(url, origin=ORIGIN, additional_headers=self._credential(), proxy=None) as socket:  # type: ignore[arg-type]  # origins are strings
                heard = await socket.recv()
        except InvalidStatus as refused:
            self.tally.answers[refused.response.status_code, "websocket"] += 1
            if self.kind == "cookie" or refused.response.status_code != 401:
                self.tally.violations.append(f"{self}: websocket refused with {refused.response.status_code}")
            return
        self.tally.answers[101, ""] += 1
        if heard != self.id:
            self.tally.violations.append(f"{self}: the websocket took them for somebody else")

    def _credential(self) -> dict[str, str]:
        if self.kind == "bearer":
            return {"authorization": f"Bearer {self.tokens['access_token']}"}
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self._client.cookies.items())}

    async def live(self, until: asyncio.Event, pause: float) -> None:
        """Go on until the end."""
        number = hash(self.email) % 50
        while not until.is_set():
            try:
                await self.turn(number)
            except (httpx.TransportError, OSError) as error:
                self.tally.violations.append(f"{self}: the app did not answer: {error!r}")
            number += 1
            await asyncio.sleep(pause)


async def newcomers(house: World, until: asyncio.Event) -> int:
    """Now and then somebody signs up, looks round and leaves for good; how many did."""
    count = 0
    kinds: tuple[Kind, Kind] = ("bearer", "cookie")
    while not until.is_set():
        person = Regular(1_000 + count, kinds[count % 2], house.urls, house.transport, house.tally)
        await person.sign_up()
        await person.step()
        count += 1
        await asyncio.sleep(1)
    return count


async def rotations(house: World, until: asyncio.Event) -> int:
    """Keys are rotated now and then; how often."""
    count = 0
    while not until.is_set():
        await asyncio.sleep(ROTATE_EVERY if SECONDS > 2 * ROTATE_EVERY else SECONDS / 3)
        await house.rotate_keys()
        count += 1
    return count


async def test_ten_minutes_of_load_keep_memory_and_sockets_flat(tmp_path: Path):
    """Ten minutes of mixed load leave memory sockets and tasks flat."""
    async with world(tmp_path, PEOPLE, lifetime=20, timeout=10.0, person=Regular) as house:
        begun, samples, until = time.monotonic(), list[tuple[float, Counts]](), asyncio.Event()
        others = [asyncio.create_task(each(house, until)) for each in (newcomers, rotations)]
        async with house.busy():
            while (now := time.monotonic() - begun) < SECONDS:
                samples.append((now, await house.counts()))
                await asyncio.sleep(SAMPLE_EVERY)
            until.set()
            joined, rotated = await asyncio.gather(*others)
        rest = await house.at_rest()
        report(house, samples, joined, rotated, rest)
        unwell = {answer: count for answer, count in house.tally.answers.items() if answer[0] >= 500}
        # Where keys are gone at once, the auth server refuses what a worker still accepts, until that is renewed.
        after_rotations = unwell.pop((503, "verification_unavailable"), 0)
        assert not unwell, house.tally
        assert after_rotations <= PEOPLE * rotated, house.tally
        assert not house.tally.violations, house.tally.violations[:10]
        complaints = house.complaints()
        assert not complaints, complaints[:10]
        is_flat(samples)


def report(house: World, samples: list[tuple[float, Counts]], joined: int, rotated: int, rest: Counts) -> None:
    """Print the figures."""
    print(f"soak: {samples[-1][0]:.0f} s, {house.tally.requests} requests ({house.tally})")
    print(f"people {PEOPLE}, newcomers {joined}, rotations of keys {rotated}")
    for moment, counts in samples[:: max(1, len(samples) // 10)]:
        memory = ", ".join(f"{kib / 1024:.1f}" for kib in counts.resident_kib)
        print(f"  {moment:5.0f} s: MiB {memory}; tasks {counts.tasks}, sockets {counts.sockets}")
    for worker in range(2):
        slope = statistics.linear_regression(*zip(*memory_samples(samples, worker), strict=True)).slope
        print(f"  worker {worker}: {slope * 60 / 1024:+.2f} MiB a minute after the warm-up of {WARM_UP:.0f} s")
    print(f"  at rest: tasks {rest.tasks}, sockets {rest.sockets}", flush=True)


def memory_samples(samples: list[tuple[float, Counts]], worker: int) -> list[tuple[float, int]]:
    """Moments after the warm-up, and what a worker held in KiB."""
    return [(moment, counts.resident_kib[worker]) for moment, counts in samples if moment >= WARM_UP]


def is_flat(samples: list[tuple[float, Counts]]) -> None:
    """Whether nothing grows after the warm-up."""
    for worker in range(2):
        held = [kib for _, kib in memory_samples(samples, worker)]
        assert max(held) <= held[0] * 1.1 + SPARE_KIB, f"worker {worker} grew from {held[0]} to {max(held)} KiB"
    late = [counts for moment, counts in samples if moment >= WARM_UP]
    half = len(late) // 2
    for name in ("tasks", "sockets"):
        first, second = ([getattr(counts, name) for counts in part] for part in (late[:half], late[half:]))
        assert statistics.median(second) <= statistics.median(first) + PEOPLE, f"{name}: {first} then {second}"
