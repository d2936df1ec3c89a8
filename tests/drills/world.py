"""The world of a drill: an auth server, the line to it, two workers of an app, and people. All of it on loopback."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.drills.auth_server import PROJECT
from tests.drills.certificates import Certificates, make_certificates
from tests.drills.line import Line
from tests.drills.people import ORIGIN, Kind, Person, Tally
from tests.drills.processes import Process, eventually
from tests.support.openapi import inline_references
from tests.support.redis_server import free_port

NAME = "auth.drill"
COOLDOWN = 2.0
PAUSE = 0.8
_NOT_IN_A_LOG = ("Traceback", "was destroyed", "never retrieved", "never awaited", "unclosed", "ResourceWarning")


@dataclass(frozen=True)
class Counts:
    """What both workers hold together."""

    tasks: int
    sockets: int
    in_flight: int
    resident_kib: tuple[int, ...]


class World:
    """Everything a drill needs.

    Args:
        folder: for data, certificates and logs.
        lifetime: seconds that access tokens live.
        timeout: seconds that a call to the auth server may take.
    """

    def __init__(self, folder: Path, lifetime: int, timeout: float) -> None:
        self.certificates: Certificates = make_certificates(folder, NAME)
        self._auth_port = free_port()
        self.line = Line(self._auth_port, self.certificates.good)
        self._folder = folder
        self._lifetime = lifetime
        self._timeout = timeout
        self.ports = [free_port(), free_port()]
        self.workers: list[Process] = []
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.control = httpx.AsyncClient(timeout=30, verify=False)
        self.transport = httpx.AsyncHTTPTransport(verify=False, limits=httpx.Limits(max_keepalive_connections=None))
        self.tally = Tally(frozenset())
        self.people: list[Person] = []
        self._read: dict[Path, int] = {}

    # --- beginning and end ---

    async def start(self) -> None:
        """Begin all processes, and wait for them."""
        await self.line.open()
        self.auth_url = f"https://{NAME}:{self.line.port}"
        words = (str(self._auth_port), self.auth_url, str(self._folder / "auth.sqlite3"), str(self._lifetime))
        self.auth_server = Process(self._folder / "auth.log", "-m", "tests.drills.auth_server", *words)
        self.workers = [self._worker(port) for port in self.ports]
        for process in (self.auth_server, *self.workers):
            await process.start()
        await eventually(self._auth_server_is_up, "the auth server is up")
        for url in self.urls:
            await eventually(lambda url=url: self._answers(f"{url}/_counts"), "a worker is up")  # type: ignore[misc]  # mypy cannot infer a default argument
        schema = (await self.control.get(f"{self.urls[0]}/openapi.json")).json()
        self.tally.documented = frozenset(documented_responses(schema))

    async def stop(self) -> None:
        """End all processes."""
        for person in self.people:
            await person._client.aclose()
        await self.transport.aclose()
        await self.control.aclose()
        for process in (*self.workers, self.auth_server):
            await process.stop()
        await self.line.close()

    def _worker(self, port: int) -> Process:
        settings = {
            "STACK_API_URL": self.auth_url,
            "STACK_PROJECT_ID": PROJECT,
            "STACK_APP_URL": ORIGIN,
            "STACK_INSECURE_COOKIES": "true",
            "STACK_JWKS_COOLDOWN": str(COOLDOWN),
            "STACK_JWKS_TIMEOUT": str(self._timeout),
            "STACK_TIMEOUT": str(self._timeout),
            "STACK_LEEWAY": "1",
            "STACK_TOKEN_CACHE_SIZE": "256",  # full within minutes: what grows after that is no cache
            "SSL_CERT_FILE": str(self.certificates.authority),
            "PYTHONWARNINGS": "default",
        }
        words = (
            "-m",
            "uvicorn",
            "tests.drills.worker:app",
            "--port",
            str(port),
            "--no-access-log",
            "--timeout-keep-alive",
            "75",
        )
        return Process(self._folder / f"worker-{port}.log", *words, environment=settings)

    async def _auth_server_is_up(self) -> bool:
        return await self._answers(f"http://127.0.0.1:{self._auth_port}/emulator/clock")

    async def _answers(self, url: str) -> bool:
        assert all(process.running for process in (self.auth_server, *self.workers)), "a process has ended"
        try:
            return (await self.control.get(url)).is_success
        except httpx.TransportError:
            return False

    def complaints(self) -> list[str]:
        """New lines of the workers' logs that tell of a bug."""
        found: list[str] = []
        for log in (worker.log for worker in self.workers):
            lines = log.read_text("utf-8", "replace").splitlines()
            found += [line for line in lines[self._read.get(log, 0) :] if any(word in line for word in _NOT_IN_A_LOG)]
            self._read[log] = len(lines)
        return found

    # --- what can be done to it ---

    async def kill(self) -> None:
        """The auth server is gone, and its address refuses connections."""
        self.auth_server.send(signal.SIGKILL)
        await self.auth_server.wait_for_end()
        await self.line.close()

    async def revive(self) -> None:
        """It is started again, with the data it had."""
        await self.auth_server.start()
        await eventually(self._auth_server_is_up, "the auth server is up again")
        await self.line.open()

    async def names(self, *, up: bool) -> None:
        """The auth server's name is resolved, or not."""
        for url in self.urls:
            (await self.control.post(f"{url}/_names", json={"up": up})).raise_for_status()
        await self.line.cut()

    async def rotate_keys(self) -> None:
        """The auth server signs with other keys from now on, and forgets the old ones."""
        url = f"http://127.0.0.1:{self._auth_port}/emulator/rotate-keys"
        (await self.control.post(url, json={})).raise_for_status()

    # --- what can be seen of it ---

    async def counts(self) -> Counts:
        """What both workers hold now."""
        found = [(await self.control.get(f"{url}/_counts")).json() for url in self.urls]
        sums = {name: sum(each[name] for each in found) for name in ("tasks", "sockets", "in_flight")}
        return Counts(**sums, resident_kib=tuple(each["resident_kib"] for each in found))

    async def at_rest(self) -> Counts:
        """What both workers hold once nothing is under way."""
        await self.hang_up()
        seen: list[Counts] = []

        async def still() -> bool:
            seen.append(await self.counts())
            return len(seen) > 1 and (0, seen[-2].tasks) == (seen[-1].in_flight, seen[-1].tasks)

        await eventually(still, "the workers come to rest", pause=0.5)
        return seen[-1]

    async def hang_up(self) -> None:
        """Close the connections of the people, so that what is left is the workers' own."""
        await self.transport.aclose()

    async def populate(self, count: int, person: type[Person]) -> None:
        """Sign people up: every other one in a browser, whose tokens are cookies."""
        kinds: tuple[Kind, Kind] = ("bearer", "cookie")
        for number in range(count):
            self.people.append(person(number, kinds[number % 2], self.urls, self.transport, self.tally))
            await self.people[-1].sign_up()

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Everybody uses the app while the block runs."""
        until = asyncio.Event()
        living = [asyncio.create_task(person.live(until, PAUSE)) for person in self.people]
        try:
            yield
        finally:
            until.set()
            await asyncio.gather(*living)

    async def all_served_since(self, moment: float) -> None:
        """Wait until everybody has been answered by a protected route after this moment of the monotonic clock."""

        async def is_served() -> bool:
            return all(person.served_at > moment for person in self.people)

        await eventually(is_served, "everybody is is_served again")

    async def fault_is_felt(self) -> None:
        """Wait until somebody has felt a fault after now: it has lasted long enough to be noticed."""
        moment = time.monotonic()

        async def felt() -> bool:
            return any(person.unwell_at > moment for person in self.people)

        await eventually(felt, "a fault is felt")

    async def most(self, until: asyncio.Event) -> Counts:
        """The most that was held at any time until then."""
        most = await self.counts()
        while not until.is_set():
            now = await self.counts()
            names = ("tasks", "sockets", "in_flight")
            most = replace(most, **{name: max(getattr(most, name), getattr(now, name)) for name in names})
            await asyncio.sleep(0.25)
        return most

    async def all_still_signed_in(self) -> list[str]:
        """Who is not."""
        lost: list[str] = []
        for person in self.people:
            if person.kind == "bearer":
                await person.refresh()
            if not await person.step():
                lost.append(str(person))
        return lost


def documented_responses(schema: dict[str, Any]) -> Sequence[tuple[str, str, int, str]]:
    """Method, path, status and code of every error that a schema names."""
    return [
        (method.upper(), path, int(status), code)
        for path, item in inline_references(schema)["paths"].items()
        for method, operation in item.items()
        for status, answer in operation["responses"].items()
        for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
        if status.isdigit()
    ]


@asynccontextmanager
async def world(
    folder: Path, people: int, *, lifetime: int = 10, timeout: float = 5.0, person: type[Person] = Person
) -> AsyncIterator[World]:
    """A world with people in it, while the block runs."""
    made = World(folder, lifetime, timeout)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(made.stop)
        await made.start()
        await made.populate(people, person)
        yield made


# --- a drill -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """The figures of one drill."""

    name: str
    seconds: float
    tally: Tally
    recovery: float
    before: Counts
    most: Counts
    after: Counts

    def __str__(self) -> str:
        before, most, after = self.before, self.most, self.after
        return (
            f"{self.name}: {self.seconds:.0f} s, {self.tally.requests} requests ({self.tally}); "
            f"recovery {self.recovery:.1f} s; tasks {before.tasks}/{most.tasks}/{after.tasks}, "
            f"sockets {before.sockets}/{most.sockets}/{after.sockets} (before/most/after); "
            f"in flight at most {most.in_flight}"
        )


async def drill(world: World, name: str, begin: Any, end: Any, *, seconds: float) -> Report:
    """Let a fault begin while everybody is busy, and end after so many seconds; check what must hold in every drill."""
    tally = Tally(world.tally.documented)
    for person in world.people:
        person.tally = tally
    before = await world.at_rest()
    over = asyncio.Event()
    async with world.busy():
        await world.all_served_since(time.monotonic())
        watching = asyncio.create_task(world.most(over))
        await begin()
        await asyncio.sleep(seconds)
        await end()
        ended = time.monotonic()
        await world.all_served_since(ended)
        recovery = time.monotonic() - ended
        over.set()
        most = await watching
    lost = await world.all_still_signed_in()
    after = await world.at_rest()
    report = Report(name, seconds, tally, recovery, before, most, after)
    print(report, flush=True)
    assert not tally.violations, tally.violations[:10]
    assert not lost, f"no longer signed in: {lost}"
    _nothing_leaks(world, report)
    complaints = world.complaints()
    assert not complaints, complaints[:10]
    return report


def _nothing_leaks(world: World, report: Report) -> None:
    people, pools = len(world.people), 2 * 20  # each worker keeps up to 20 idle connections to the auth server
    base = report.before
    assert report.after.tasks <= base.tasks, report
    assert report.after.sockets <= base.sockets + pools, report
    assert report.most.in_flight <= people, report
    # For each request: its own task, the call that it waits for, and what that call needs while it connects.
    assert report.most.tasks <= base.tasks + 4 * people, report
