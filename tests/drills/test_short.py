"""A short drill for every run of the tests; the long ones are `make drills` (docs/drills.md)."""

from pathlib import Path

from tests.drills.world import drill, world


async def test_people_notice_nothing_but_503_of_an_auth_server_that_fails_in_three_ways(tmp_path: Path):
    """Junk of every kind, connections that are reset, a server that hangs."""
    async with world(tmp_path, people=8, lifetime=3, timeout=0.8) as house:
        line = house.line

        async def begin() -> None:
            await line.switch(line.junk)

        async def end() -> None:
            await line.switch(line.pass_on)

        await drill(house, "junk", begin, end, seconds=2)
