"""Notes in a database that several workers share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from example_app.storage import Notebook, Notebooks, engine_for
from tests.support.world import turns

ADA, BOB, TEAM = Notebook(author_id="ada"), Notebook(author_id="bob"), Notebook(team_id="team")


@asynccontextmanager
async def worker(folder: Path) -> AsyncIterator[Notebooks]:
    """What one process has of the notes."""
    notebooks = Notebooks(f"sqlite:///{folder}/notes.sqlite3")
    await notebooks.open()
    try:
        yield notebooks
    finally:
        await notebooks.close()


async def texts(notebooks: Notebooks, notebook: Notebook) -> list[str]:
    return [note.text for note in await notebooks.newest(notebook)]


async def write(notebooks: Notebooks, notebook: Notebook, text: str, author: str = "ada") -> None:
    await notebooks.write(notebook, text, author_id=author, author_name=author.title())


async def test_notes_belong_to_a_person_or_a_team(tmp_path: Path):
    async with worker(tmp_path) as notebooks:
        await write(notebooks, ADA, "hers")
        await write(notebooks, TEAM, "the team's")
        await write(notebooks, TEAM, "the team's, too", "bob")
        assert await texts(notebooks, ADA) == ["hers"]
        assert await texts(notebooks, BOB) == []
        assert await texts(notebooks, TEAM) == ["the team's, too", "the team's"]
        assert await notebooks.counts() == (3, 2)
        await notebooks.forget("ada")
        assert await texts(notebooks, ADA) == []
        assert len(await texts(notebooks, TEAM)) == 2


async def test_a_note_is_removed_by_notebook_and_author(tmp_path: Path):
    """A note is removed from its notebook alone and by its author where that is asked."""
    async with worker(tmp_path) as notebooks:
        await write(notebooks, TEAM, "hers")
        (note,) = await notebooks.newest(TEAM)
        assert not await notebooks.remove(ADA, note.id)
        assert not await notebooks.remove(Notebook(team_id="other"), note.id)
        assert not await notebooks.remove(TEAM, note.id, author_id="bob")
        assert await notebooks.remove(TEAM, note.id, author_id="ada")
        assert not await notebooks.remove(TEAM, note.id)


async def test_what_one_worker_writes_and_removes_the_other_tells(tmp_path: Path):
    async with worker(tmp_path) as one, worker(tmp_path) as other, asyncio.timeout(60):
        seen = one.changes(TEAM, every=0.05)
        assert await anext(seen) == []
        await write(other, TEAM, "first")
        assert [note.text for note in await anext(seen)] == ["first"]
        await other.remove(TEAM, (await other.newest(TEAM))[0].id)
        await write(other, TEAM, "in its place")
        while [note.text for note in await anext(seen)] != ["in its place"]:
            pass  # it may have looked in between
        await write(one, ADA, "something else")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(seen)


async def test_what_a_worker_writes_itself_it_tells_at_once(tmp_path: Path):
    async with worker(tmp_path) as notebooks, asyncio.timeout(60):
        seen = notebooks.changes(ADA, every=3600)
        await anext(seen)
        told = asyncio.ensure_future(anext(seen))
        await turns(10)
        await write(notebooks, ADA, "now")
        assert [note.text for note in await told] == ["now"]


async def test_workers_that_start_at_the_same_moment_all_start(tmp_path: Path):
    async with AsyncExitStack() as stack:
        started = await asyncio.gather(*(stack.enter_async_context(worker(tmp_path)) for _ in range(4)))
        await asyncio.gather(*(write(each, TEAM, "x") for each in started))
        assert len(await texts(started[0], TEAM)) == 4


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg"),
        ("sqlite:///x", "sqlite+aiosqlite"),
    ],
)
def test_plain_addresses_of_databases_get_a_driver(url: str, driver: str):
    assert engine_for(url).url.drivername == driver
