"""Endpoints for programs: the caller, a greeting, notes, and a liveness check. Notes are also tools for AI agents."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from example_app.auth import AnybodyOrKey
from example_app.notes import add_note
from example_app.storage import LONGEST_NOTE, Note, Notebook, notebooks
from fastapi_stackauth import CurrentUser, OptionalUser, User

router = APIRouter()


class NoteText(BaseModel):
    """A note to write."""

    model_config = ConfigDict(strict=True)

    text: Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE, description="The note.", examples=["Buy milk"])]


class WrittenNote(BaseModel):
    """A note."""

    id: int = Field(description="The note's id.", examples=[1])
    text: str = Field(description="The note.", examples=["Buy milk"])
    written_at: datetime = Field(description="When it was written.", examples=["2026-11-27T12:00:00Z"])

    @classmethod
    def from_note(cls, note: Note) -> "WrittenNote":
        """Return the JSON model of a note."""
        return cls(id=note.id, text=note.text, written_at=note.written_at)


@router.get("/api/me", tags=["example"], summary="Get the signed-in user")
async def me(user: CurrentUser) -> User:
    """Return the signed-in user from the access token. Without a token, the response is 401."""
    return user


@router.get("/api/hello", tags=["example"], summary="Greet the caller")
async def hello(user: OptionalUser) -> Annotated[dict[str, str], Field(examples=[{"message": "Hello, Ada!"}])]:
    """Greet a signed-in user by name, and other callers in general."""
    name = (user.display_name or user.email) if user else None
    return {"message": f"Hello, {name}!" if name else "Hello, stranger!"}


@router.get("/api/notes", tags=["notes"], summary="List your notes", operation_id="list_notes")
async def list_notes(user: AnybodyOrKey) -> list[WrittenNote]:
    """List the caller's private notes, newest first."""
    return [WrittenNote.from_note(note) for note in await notebooks.newest(Notebook(author_id=user.id))]


@router.post(
    "/api/notes",
    tags=["notes"],
    summary="Write a note",
    operation_id="write_note",
    status_code=201,
    responses={
        400: {"description": "The body cannot be read."},
        422: {"description": "The note has no text, or too much."},
    },
)
async def write_note(user: AnybodyOrKey, note: NoteText) -> list[WrittenNote]:
    """Write a private note, and return the caller's notes, newest first."""
    notebook = Notebook(author_id=user.id)
    if not await add_note(notebook, user, note.text):
        raise HTTPException(422, "A note must contain text.")
    return [WrittenNote.from_note(each) for each in await notebooks.newest(notebook)]


@router.get("/health/live", tags=["health"], summary="Is this process alive?")
async def live() -> Annotated[dict[str, str], Field(examples=[{"status": "ok"}])]:
    """Respond while the process runs. `/health/ready` reports whether it can serve requests."""
    return {"status": "ok"}
