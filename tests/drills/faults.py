"""The drills: 32 people sign in and use an app of two workers while the auth server fails in every way.

`make drills` runs them; docs/drills.md tells what each does. Each prints a line of figures.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.drills.processes import LIMIT
from tests.drills.world import World, drill, world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

PEOPLE = 32
SECONDS = 11.0  # longer than tokens live, so that every session has to be renewed while the fault lasts

Fault = Callable[[World], tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One world for all drills: what one of them leaks, the next one counts."""
    folder: Path = tmp_path_factory.mktemp("drills")
    async with world(folder, PEOPLE) as made:
        yield made


def nothing(_house: World):
    async def go_on() -> None:
        pass

    return go_on, go_on


def kill_server(house: World):
    return house.kill, house.revive


def frozen(house: World):
    async def freeze() -> None:
        house.auth_server.send(signal.SIGSTOP)

    async def thaw() -> None:
        house.auth_server.send(signal.SIGCONT)

    return freeze, thaw


def _mode(name: str) -> Fault:
    def fault(house: World):
        line = house.line
        return lambda: line.switch(getattr(line, name)), lambda: line.switch(line.pass_on)

    return fault


def nameless(house: World):
    return lambda: house.names(up=False), lambda: house.names(up=True)


def expire_certificate(house: World):
    line, certificates = house.line, house.certificates
    return lambda: line.present(certificates.expired), lambda: line.present(certificates.good)


FAULTS: dict[str, Fault] = {
    "no fault": nothing,
    "killed": kill_server,
    "frozen": frozen,
    "slow": _mode("crawl"),
    "junk": _mode("junk"),
    "reset connections": _mode("reset"),
    "no name resolution": nameless,
    "TLS certificate expired": expire_certificate,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_nobody_is_mistaken_signed_out_or_told_worse_than_503(house: World, name: str):
    begin, end = FAULTS[name](house)
    report = await drill(house, name, begin, end, seconds=SECONDS)
    unwell = sum(count for (status, _), count in report.tally.answers.items() if status >= 500)
    assert unwell or name in ("no fault", "slow"), f"the fault was not felt: {report}"
    assert report.recovery < LIMIT
