"""Teams, their notes and invitations to them, and a page for admins. What a member may do, the auth server knows."""

from typing import Annotated

from fastapi import APIRouter, Form, WebSocket
from fastapi.responses import HTMLResponse, RedirectResponse

from example_app.auth import DELETE_NOTES, Admin, Caller, MayDeleteNotes, TeamOfMember, WatchOfMember, stack
from example_app.notes import NoteId, Text, show_live, written
from example_app.pages import Page
from example_app.storage import Notebook, notebooks
from example_app.texts import sentence
from fastapi_stackauth import CurrentUser, KnownApiError
from fastapi_stackauth.errors import RateLimitExceeded
from fastapi_stackauth.models import TeamCreate

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

LONGEST_NAME = 100


@router.get("/teams")
async def mine(page: Page, _: CurrentUser, caller: Caller) -> HTMLResponse:
    return page("teams.html", teams=await caller.teams.list())


@router.post("/teams")
async def create(_: CurrentUser, caller: Caller, name: Annotated[str, Form()] = "") -> RedirectResponse:
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        return RedirectResponse("/teams?error=team_form", 303)
    team = await caller.teams.create(TeamCreate(display_name=name.strip()))
    return RedirectResponse(f"/teams/{team.id}", 303)


@router.get("/teams/{team_id}")
async def notes(page: Page, team: TeamOfMember, user: CurrentUser, caller: Caller) -> HTMLResponse:
    return page(
        "team.html",
        team=team,
        members=await caller.team_members.list(team.id),
        notes=await notebooks.newest(Notebook(team_id=team.id)),
        path=f"/teams/{team.id}",
        me=user.id,
        may_delete=await caller.team_permissions.check(DELETE_NOTES, team_id=team.id),
    )


@router.post("/teams/{team_id}/notes")
async def write(team: TeamOfMember, user: CurrentUser, text: Text = "") -> RedirectResponse:
    return await written(Notebook(team_id=team.id), user, text, f"/teams/{team.id}")


@router.post("/teams/{team_id}/notes/{note_id}/delete")
async def remove_any(team: TeamOfMember, _: MayDeleteNotes, note_id: NoteId) -> RedirectResponse:
    await notebooks.remove(Notebook(team_id=team.id), note_id)
    return RedirectResponse(f"/teams/{team.id}", 303)


@router.post("/teams/{team_id}/notes/{note_id}/take-back")
async def remove_own(team: TeamOfMember, user: CurrentUser, note_id: NoteId) -> RedirectResponse:
    await notebooks.remove(Notebook(team_id=team.id), note_id, author_id=user.id)
    return RedirectResponse(f"/teams/{team.id}", 303)


@router.post("/teams/{team_id}/leave")
async def leave(team: TeamOfMember, user: CurrentUser, caller: Caller) -> RedirectResponse:
    await caller.team_members.remove(team.id)
    await stack.revocations.forget(user_id=user.id, team_id=team.id)  # no worker remembers the membership
    return RedirectResponse("/teams?done=left", 303)


@router.websocket("/teams/{team_id}/live")
async def live(websocket: WebSocket, team_id: str, watch: WatchOfMember, caller: Caller) -> None:
    may_delete = await caller.team_permissions.check(DELETE_NOTES, team_id=team_id)
    await show_live(websocket, watch, Notebook(team_id=team_id), f"/teams/{team_id}", may_delete=may_delete)


# --- invitations ---


@router.post("/teams/{team_id}/invitations")
async def invite(
    team: TeamOfMember, user: CurrentUser, caller: Caller, email: Annotated[str, Form()] = ""
) -> RedirectResponse:
    link = stack.settings.require_app_url("invitations") + "/invitation"
    page = f"/teams/{team.id}"
    try:
        # Each invitation is an email to an address that the user chooses: limit the sender, then the recipient.
        await stack.limiter.count("invitation_from", address=None, account=user.id)
        await stack.limiter.count("invitation_to", address=None, account=email)
        await caller.team_invitations.send(team.id, email=email, callback_url=link)
    except (KnownApiError, RateLimitExceeded) as error:
        return RedirectResponse(f"{page}?error={error.code}", 303)
    return RedirectResponse(f"{page}?done=invited", 303)


@router.get("/invitation")
async def invitation(page: Page, _: CurrentUser, caller: Caller, code: str = "") -> HTMLResponse:
    try:
        invited_to = await caller.team_invitations.details(code=code)
    except KnownApiError as error:
        return page("invitation.html", invited_to=None, problem=sentence(error.code))
    return page("invitation.html", invited_to=invited_to, code=code)


@router.post("/invitation")
async def accept(_: CurrentUser, caller: Caller, code: Annotated[str, Form()] = "") -> RedirectResponse:
    try:
        invited_to = await caller.team_invitations.details(code=code)
        await caller.team_invitations.accept(code=code)
    except KnownApiError as error:
        return RedirectResponse(f"/teams?error={error.code}", 303)
    return RedirectResponse(f"/teams/{invited_to.team_id}?done=joined", 303)


# --- admins ---


@router.get("/admin")
async def admin(page: Page, _: Admin) -> HTMLResponse:
    """What the app asks in its own name: with the secret key, which no page ever sees."""
    people = (await anext(stack.client.as_server().users.list(limit=50).pages())).items
    written, authors = await notebooks.counts()
    return page("admin.html", people=people, written=written, authors=authors)
