"""Private notes, and a live list of a notebook over a WebSocket."""

import asyncio
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Form, Path, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, RedirectResponse

from example_app.auth import Anybody, Watch, webhooks
from example_app.pages import Page, display_name, templates
from example_app.storage import LONGEST_NOTE, Notebook, notebooks
from fastapi_stackauth import SessionWatch, User, UserDeletedEvent

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

NoteId = Annotated[int, Path(ge=1, lt=2**63)]
Text = Annotated[str, Form()]


@router.get("/notes")
async def mine(page: Page, user: Anybody, error: str = "") -> HTMLResponse:
    notes = await notebooks.newest(Notebook(author_id=user.id))
    shown = {"title": "My notes", "path": "/notes", "notes": notes, "me": user.id, "may_delete": True, "failed": error}
    return page("notebook.html", **shown)


@router.post("/notes")
async def write_mine(user: Anybody, text: Text = "") -> RedirectResponse:
    return await save_note(Notebook(author_id=user.id), user, text, "/notes")


@router.post("/notes/{note_id}/delete")
async def remove_mine(user: Anybody, note_id: NoteId) -> RedirectResponse:
    await notebooks.remove(Notebook(author_id=user.id), note_id, author_id=user.id)
    return RedirectResponse("/notes", 303)


@router.websocket("/notes/live")
async def live(websocket: WebSocket, watch: Watch) -> None:
    await show_live(websocket, watch, Notebook(author_id=watch.user.id), "/notes", may_delete=True)


@webhooks.on("user.deleted")
async def forget(event: UserDeletedEvent) -> None:
    """Delete the private notes of a deleted user. The notes of teams stay."""
    await notebooks.forget(event.data.id)


async def save_note(notebook: Notebook, author: User, text: str, path: str) -> RedirectResponse:
    """Save a note, and redirect to its page."""
    return RedirectResponse(path if await add_note(notebook, author, text) else f"{path}?error=note", 303)


async def add_note(notebook: Notebook, author: User, text: str) -> bool:
    """Write a note, unless it is empty or too long. Return whether it was written."""
    text = plain(text.replace("\r\n", "\n")).strip()
    if not 0 < len(text) <= LONGEST_NOTE:
        return False
    await notebooks.write(notebook, text, author_id=author.id, author_name=plain(display_name(author)))
    return True


def plain(text: str) -> str:
    """Return a text that every database accepts, without NUL and lone surrogates."""
    return text.replace("\x00", "").encode(errors="replace").decode()


async def show_live(
    websocket: WebSocket, watch: SessionWatch, notebook: Notebook, path: str, *, may_delete: bool
) -> None:
    """Send the list again after each change, until the user leaves the page or the session ends."""
    listed = templates.get_template("list.html")

    async def send() -> None:
        with suppress(WebSocketDisconnect):
            async for notes in notebooks.changes(notebook):
                shown = {"notes": notes, "path": path, "me": watch.user.id, "may_delete": may_delete}
                await websocket.send_text(listed.render(shown))

    await websocket.accept()
    async with watch, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send())
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass  # the page sends nothing, so this ends when the user leaves it
        sending.cancel()
