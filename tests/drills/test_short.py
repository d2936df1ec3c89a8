"""A short drill for every run of the tests; the long ones are `make drills` (docs/drills.md)."""

import signal
from pathlib import Path

from tests.drills.world import drill, world


async def test_three_faults_show_users_503_only(tmp_path: Path):
    """Its process is frozen, connections are reset, then answers are junk; everybody is signed in at the end."""
    async with world(tmp_path, people=6, lifetime=3, timeout=2.0) as house:
        line, auth_server = house.line, house.auth_server

        async def begin() -> None:
            auth_server.send(signal.SIGSTOP)
            await house.fault_is_felt()
            auth_server.send(signal.SIGCONT)
            await line.switch(line.reset)
            await house.fault_is_felt()
            await line.switch(line.junk)
            await house.fault_is_felt()

        async def end() -> None:
            await line.switch(line.pass_on)

        await drill(house, "frozen, reset, junk", begin, end, seconds=0)
