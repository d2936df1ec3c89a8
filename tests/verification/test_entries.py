"""Revoked sessions and users by the hundred thousand: small steps, nothing lost, and no room for what has expired."""

import asyncio

from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.storage import MemoryStorage
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.entries import Entries
from fastapi_stackauth.verification.revocation import Revocations


def make_entries(size: int, until: float = 100.0) -> Entries:
    entries = Entries()
    for number in range(size):
        entries.put(f"s:{number}", until)
    return entries


def test_no_piece_is_large():
    """The event loop waits for one piece at most."""
    sizes = [len(piece) for piece in make_entries(100_000).pieces()]
    assert sum(sizes) == 100_000
    assert max(sizes) < 1_000


def test_an_earlier_time_never_replaces_a_later_one():
    entries = make_entries(1, until=100.0)
    entries.put("s:0", 50.0)
    assert entries.get("s:0") == 100.0
    entries.discard("s:0", 50.0)
    assert "s:0" in entries
    entries.discard("s:0", 100.0)
    assert "s:0" not in entries


def test_sweeping_removes_what_has_expired_and_nothing_else():
    entries = make_entries(1_000, until=100.0)
    entries.put("s:later", 300.0)
    entries.sweep(200.0, 1_000)
    assert (len(entries), entries.filled) == (1, True)
    entries.sweep(400.0, 1_000)
    assert (len(entries), entries.filled) == (0, False)


async def test_other_tasks_run_while_many_are_revoked():
    revocations = Revocations(Settings.load({"project_id": "p"}), MemoryStorage())
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await revocations.revoke_sessions(str(number) for number in range(50_000))
    counting.cancel()
    assert turns >= 49
    assert len(revocations) == 50_000
    await revocations.check(User(id="u", session_id="other"))
