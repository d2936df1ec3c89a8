"""Notes of teams, and a page for admins. Members and invitations are on the library's team pages."""

from fastapi import APIRouter, WebSocket
from fastapi.responses import HTMLResponse, RedirectResponse

from example_app.auth import DELETE_NOTES, Admin, Caller, MayDeleteNotes, TeamOfMember, WatchOfMember, stack
from example_app.notes import NoteId, Text, save_note, show_live
from example_app.pages import Page
from example_app.storage import Notebook, notebooks
from fastapi_stackauth import CurrentUser

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/teams")
async def mine(page: Page, _: CurrentUser, caller: Caller) -> HTMLResponse:
    return page("teams.html", teams=await caller.teams.list())


@router.get("/teams/{team_id}")
async def notes(page: Page, team: TeamOfMember, user: CurrentUser, caller: Caller, error: str = "") -> HTMLResponse:
    shown = {"title": team.display_name, "team": team, "path": f"/teams/{team.id}", "me": user.id, "failed": error}
    may_delete = await caller.team_permissions.check(DELETE_NOTES, team_id=team.id)
    newest = await notebooks.newest(Notebook(team_id=team.id))
    return page("notebook.html", notes=newest, may_delete=may_delete, **shown)


@router.post("/teams/{team_id}/notes")
async def write(team: TeamOfMember, user: CurrentUser, text: Text = "") -> RedirectResponse:
    return await save_note(Notebook(team_id=team.id), user, text, f"/teams/{team.id}")


@router.post("/teams/{team_id}/notes/{note_id}/delete")
async def remove_any(team: TeamOfMember, _: MayDeleteNotes, note_id: NoteId) -> RedirectResponse:
    await notebooks.remove(Notebook(team_id=team.id), note_id)
    return RedirectResponse(f"/teams/{team.id}", 303)


@router.post("/teams/{team_id}/notes/{note_id}/take-back")
async def remove_own(team: TeamOfMember, user: CurrentUser, note_id: NoteId) -> RedirectResponse:
    await notebooks.remove(Notebook(team_id=team.id), note_id, author_id=user.id)
    return RedirectResponse(f"/teams/{team.id}", 303)


@router.websocket("/teams/{team_id}/live")
async def live(websocket: WebSocket, team_id: str, watch: WatchOfMember, caller: Caller) -> None:
    may_delete = await caller.team_permissions.check(DELETE_NOTES, team_id=team_id)
    await show_live(websocket, watch, Notebook(team_id=team_id), f"/teams/{team_id}", may_delete=may_delete)


@router.get("/admin")
async def admin(page: Page, _: Admin) -> HTMLResponse:
    """Calls that the app makes as the server, with the secret key, which no page ever receives."""
    users = (await anext(stack.client.as_server().users.list(limit=50).pages())).items
    written, authors = await notebooks.counts()
    return page("admin.html", users=users, written=written, authors=authors)
