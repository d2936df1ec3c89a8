"""Notes in a database: SQLite in a file, or the database of DATABASE_URL (`postgresql+asyncpg://...`).

The owner of a note is its author's id at the auth server, or the team's id for a team's note.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from sqlalchemy import ColumnElement, DateTime, Select, String, Text, delete, func, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DEFAULT_URL = "sqlite+aiosqlite:///notes.sqlite3"
LONGEST_NOTE, NEWEST = 2_000, 200


class Base(DeclarativeBase):
    """Base class of all tables."""


class Note(Base):
    """A note."""

    __tablename__ = "notes"
    __table_args__ = ({"sqlite_autoincrement": True},)  # `Notebooks.state` needs ids that are never reused

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[str] = mapped_column(String(64), index=True)
    author_name: Mapped[str] = mapped_column(String(320))
    team_id: Mapped[str | None] = mapped_column(String(64), index=True)
    text: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True)
class Notebook:
    """The notes of a team, or the private notes of a user."""

    author_id: str | None = None
    team_id: str | None = None

    @property
    def holds(self) -> ColumnElement[bool]:
        """Return the condition for the notes in this notebook."""
        private = (Note.author_id == self.author_id) & Note.team_id.is_(None)
        return private if self.team_id is None else Note.team_id == self.team_id


class Notebooks:
    """All notes. Nothing is opened before `open`."""

    def __init__(self, url: str) -> None:
        self._engine = engine_for(url)
        self._session = async_sessionmaker(self._engine, expire_on_commit=False)
        self._changed: WeakValueDictionary[Notebook, asyncio.Event] = WeakValueDictionary()  # for readers that wait

    async def open(self) -> None:
        """Create the tables if they do not exist."""
        for last in (False, True):
            try:
                async with self._engine.begin() as connection:
                    await connection.run_sync(Base.metadata.create_all)
            except DBAPIError:  # another worker that started at the same time was faster
                if last:
                    raise
                await asyncio.sleep(0.5)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def newest(self, notebook: Notebook) -> list[Note]:
        """Return the notes, newest first."""
        wanted = select(Note).where(notebook.holds).order_by(Note.id.desc()).limit(NEWEST)
        async with self._session() as session:
            return list(await session.scalars(wanted))

    async def write(self, notebook: Notebook, text: str, *, author_id: str, author_name: str) -> None:
        """Add a note."""
        now = datetime.now(UTC)
        note = Note(author_id=author_id, author_name=author_name, team_id=notebook.team_id, text=text, written_at=now)
        async with self._session.begin() as session:
            session.add(note)
        self._tell(notebook)

    async def remove(self, notebook: Notebook, note_id: int, *, author_id: str | None = None) -> bool:
        """Delete a note, optionally only if `author_id` wrote it. Return whether there was one."""
        wanted = delete(Note).where(notebook.holds, Note.id == note_id)
        if author_id is not None:
            wanted = wanted.where(Note.author_id == author_id)
        async with self._session.begin() as session:
            removed = (await session.scalars(wanted.returning(Note.id))).all()
        self._tell(notebook)
        return bool(removed)

    async def forget(self, author_id: str) -> None:
        """Delete the private notes of a user."""
        async with self._session.begin() as session:
            await session.execute(delete(Note).where(Notebook(author_id=author_id).holds))

    async def counts(self) -> tuple[int, int]:
        """Return the number of notes and of their authors."""
        return await self._pair(select(func.count(), func.count(Note.author_id.distinct())))

    async def state(self, notebook: Notebook) -> tuple[int, int]:
        """Return values that differ after every change: the number of notes and the newest one's id."""
        return await self._pair(select(func.count(), func.coalesce(func.max(Note.id), 0)).where(notebook.holds))

    async def _pair(self, wanted: Select[int, int]) -> tuple[int, int]:
        async with self._session() as session:
            row = (await session.execute(wanted)).one()
        return row[0], row[1]

    async def changes(self, notebook: Notebook, *, every: float = 1.0) -> AsyncIterator[list[Note]]:
        """Yield the notes now, and again after each change.

        A change of this worker is seen at once, and those of other workers by a query every second.
        """
        seen = None
        while True:
            changed = self._changed.setdefault(notebook, asyncio.Event())
            state = await self.state(notebook)
            if state != seen:
                seen = state
                yield await self.newest(notebook)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), every)

    def _tell(self, notebook: Notebook) -> None:
        if changed := self._changed.pop(notebook, None):
            changed.set()


def engine_for(url: str) -> AsyncEngine:
    """Return a connection pool. For a plain `postgresql://`, use the driver that this app installs."""
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+asyncpg")
    if parsed.drivername == "sqlite":
        parsed = parsed.set(drivername="sqlite+aiosqlite")
    options = {"timeout": 30} if parsed.get_backend_name() == "sqlite" else {}  # it has one writer at a time
    return create_async_engine(parsed, pool_pre_ping=True, connect_args=options)


notebooks = Notebooks(os.environ.get("DATABASE_URL") or DEFAULT_URL)
