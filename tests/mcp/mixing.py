"""Many calls of 20 users at once: `python -m tests.mcp.mixing 10000`."""

import asyncio
import random
import sys

from tests.mcp.desk import Desk, call, call_newest


async def mix(desk: Desk, calls: int) -> None:
    """Many calls of 20 users at once, in two revisions of the protocol, each of which must get its own answer."""
    users = [desk.add_user(f"user{number}") for number in range(20)]
    tokens = {user: desk.token(user_id=user) for user in users}
    chance = random.Random(7)
    order = [chance.choice(users) for _ in range(calls)]
    async with desk.open() as http:
        queue = iter(order)

        async def work() -> int:
            done = 0
            for user in queue:
                tool = chance.choice(("hello", "me", "robots"))
                use = chance.choice((call, call_newest))
                answer = await use(http, tool, {"authorization": f"Bearer {tokens[user]}"})
                assert answer.json()["result"]["structuredContent"] == {"result": user}
                done += 1
            return done

        assert sum(await asyncio.gather(*(work() for _ in range(40)))) == calls


if __name__ == "__main__":
    mixed = Desk()
    mixed.mount()
    asyncio.run(mix(mixed, int(sys.argv[1])))
