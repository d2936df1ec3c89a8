"""Invitations to teams: send, list and revoke them, and join by the link of the email or by the invitation's id.

Law: any user with a code can join, because the auth server does not compare email addresses. So the confirmation shows
the team and the account that joins. The auth server uses up a code even if it then rejects the user, so the routes
check everything else first.
"""

from typing import Annotated

from fastapi import Depends, Path, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import AuthError, AuthServerUnavailable, KnownApiError, RequestInvalid
from fastapi_stackauth.models import InvitedTo, TeamInvitation, User
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext, UserClient, check_full_user
from fastapi_stackauth.routers.plumbing.declaration import VERIFICATION_CODE_ERRORS, Routes
from fastapi_stackauth.routers.plumbing.inputs import LinkCode, NewEmail, OneTimeCode, RequestBody, Uuid
from fastapi_stackauth.routers.plumbing.lists import ListResponse, find_listed, list_example
from fastapi_stackauth.routers.plumbing.pages import describe_account, form_page, message_page
from fastapi_stackauth.routers.teams.shared import (
    NOT_IN_TEAM,
    TEAM_ID,
    FullUser,
    TeamId,
    changing,
    needs_permission,
    permission_missing,
)
from fastapi_stackauth.routers.teams.teams import check_name
from fastapi_stackauth.startup.configuration import needs

routes = Routes("team invitations", feature="invitations")

InvitationId = Annotated[Uuid, Path(description="The invitation's id, as returned when invitations are listed.")]
InvitingUser = Annotated[User, Depends(Require(verified_email=True))]

_INVITE = "$invite_members"
_ID = "3b0f9a52-7c1e-4b7e-9a57-2f1d6c0e8d44"
_INVITATION = {
    "id": _ID,
    "team_id": TEAM_ID,
    "team_display_name": "Red team",
    "expires_at_millis": 1796039263397,
    "recipient_email": "grace@example.com",
}
_INVITED_TO = {"team_id": TEAM_ID, "team_display_name": "Red team"}
_RESTRICTED = KnownApiError.of(
    "TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED", details={"restricted_reason": "email_not_verified"}
)
_CODE_ERRORS = (*VERIFICATION_CODE_ERRORS, "TEAM_NOT_FOUND", _RESTRICTED)
_NOT_FOUND = "VERIFICATION_CODE_NOT_FOUND"
_PAGE_ERRORS = {
    400: "The invitation has expired, or has been opened too many times.",
    401: "No user is signed in. If `sign_in_url` is set, the browser is redirected there instead.",
    403: "Anonymous and restricted users cannot join teams.",
    404: "There is no such invitation, or its team was deleted.",
    409: "The invitation has been accepted already.",
    429: "Too many attempts.",
    502: "The auth server does not accept this app's configuration, or its response cannot be read.",
    503: "The auth server cannot be reached right now.",
}


class TeamInvitationList(ListResponse[TeamInvitation]):
    """Invitations that have not been accepted."""


# --- for members ---


class TeamInvitationSendRequest(RequestBody):
    """The address to invite."""

    email: NewEmail


class TeamInvitationSent(BaseModel):
    """An invitation that was sent. Only the email contains its code."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="The invitation's id, as returned when invitations are listed.", examples=[_ID])


@routes.post(
    "/teams/{team_id}/invitations",
    "Invite an email address",
    errors=(NOT_IN_TEAM, needs_permission(_INVITE)),
    attempt="team_invitations_send",
    status_code=201,
)
@needs("project_id", "app_url", unless_page="team_invitation")
async def team_invitations_send(
    team_id: TeamId, body: TeamInvitationSendRequest, context: Context, user: InvitingUser, client: UserClient
) -> TeamInvitationSent:
    """Send an email with a link that lets its reader join a team. This needs the permission `$invite_members` there.

    The link opens this router's page, or your own: `pages={"team_invitation": ...}`. The number of invitations is
    limited per user, per team, and per address in all teams.

    Returns:
        The email has been sent.
    """
    await context.count_account(user.id)
    await check_full_user(client)
    team = await client.teams.get(team_id)
    try:
        check_name(team.display_name)  # another client may have set it
    except ValueError as error:
        raise RequestInvalid((("path.team_id", f"The team's name {error}"),)) from None
    # This comes before the next two counters, so that users who may not invite do not use up the invitations of others.
    if not await client.team_permissions.check(_INVITE, team_id=team_id):
        raise permission_missing(_INVITE, team_id)
    await context.count_account(team_id)
    await context.count_account(body.email)
    link = context.page_url("team_invitation")
    sent = await client.team_invitations.send(team_id, email=body.email, callback_url=link)
    return TeamInvitationSent(id=sent.id)


@routes.get(
    "/teams/{team_id}/invitations",
    "List a team's invitations",
    errors=(NOT_IN_TEAM, needs_permission(_INVITE)),
    example=list_example(_INVITATION),
)
async def team_invitations_list(team_id: TeamId, client: UserClient) -> TeamInvitationList:
    """List the open invitations to a team. This needs the permissions `$read_members` and `$invite_members` there."""
    return TeamInvitationList(items=await client.team_invitations.list(team_id))


@routes.delete(
    "/teams/{team_id}/invitations/{invitation_id}",
    "Revoke an invitation",
    errors=(NOT_IN_TEAM, needs_permission("$remove_members"), _NOT_FOUND),
)
async def team_invitations_revoke(team_id: TeamId, invitation_id: InvitationId, client: UserClient) -> None:
    """Revoke an open invitation to a team: the link in its email stops working.

    This needs the permissions `$remove_members`, `$read_members` and `$invite_members` in the team.
    """
    found = find_listed(await client.team_invitations.list(team_id), invitation_id, _NOT_FOUND)
    try:
        await client.team_invitations.revoke(found.id, team_id=team_id)
    except AuthServerUnavailable as error:
        # The server returns 500 if the invitation no longer exists (corrections.md B), perhaps since our first attempt.
        if error.response_status != 500 or found in await client.team_invitations.list(team_id):
            raise


# --- for invited users ---


@routes.get("/invitations", "List your invitations", example=list_example(_INVITATION))
async def invitations_list(client: UserClient) -> TeamInvitationList:
    """List the open invitations to your verified addresses."""
    return TeamInvitationList(items=await client.team_invitations.list_for_user())


@routes.post(
    "/invitations/{invitation_id}/accept",
    "Accept an invitation to your address",
    errors=(_NOT_FOUND, "TEAM_NOT_FOUND", _RESTRICTED),
    example=_INVITED_TO,
)
async def invitations_accept_by_id(
    invitation_id: InvitationId, context: Context, user: FullUser, client: UserClient
) -> InvitedTo:
    """Join the team of one of your own invitations, which `/invitations` lists."""
    found = find_listed(await client.team_invitations.list_for_user(), invitation_id, _NOT_FOUND)
    async with changing(context, team_id=found.team_id, user_id=user.id):
        await client.team_invitations.accept_by_id(found.id)
    return InvitedTo(team_id=found.team_id, team_display_name=found.team_display_name or "")


class InvitationCodeRequest(RequestBody):
    """The code of an invitation's link."""

    code: OneTimeCode


@routes.post(
    "/invitations/details",
    "Get the team of an invitation",
    errors=_CODE_ERRORS,
    example=_INVITED_TO,
    attempt="invitations_details",
)
async def invitations_details(
    body: InvitationCodeRequest, context: Context, _: FullUser, client: UserClient
) -> InvitedTo:
    """Get the team of an invitation link. Show it with the account that would join, and ask the user to confirm.

    Each request is one of the code's 20 attempts.
    """
    return await _read_invitation(context, client, body.code.get_secret_value())


@routes.post(
    "/invitations/accept",
    "Accept an invitation by its code",
    errors=(*_CODE_ERRORS, AuthError("authentication_required")),  # listed here, so that it can be a page too
    example=_INVITED_TO,
    attempt="invitations_accept",
    form=True,
)
async def invitations_accept(
    body: InvitationCodeRequest, context: Context, user: FullUser, client: UserClient
) -> InvitedTo | Response:
    """Join a team with the code of the link in the email. The email may have gone to another address.

    The page's button posts here too; its response is a page.

    Returns:
        The team that you have joined.
    """
    code = body.code.get_secret_value()
    invited_to = await _read_invitation(context, client, code)
    async with changing(context, team_id=invited_to.team_id, user_id=user.id):
        await client.team_invitations.accept(code=code)
    if context.is_page_form:
        return message_page("Welcome to the team", f"You have joined the team {invited_to.team_display_name}.")
    return invited_to


@routes.page(
    "/invitations/accept",
    "Open an invitation",
    page_errors=_PAGE_ERRORS,
    attempt="invitations_accept",
    only="cookie",
)
@needs("project_id")
async def invitations_accept_page(
    code: LinkCode, context: Context, user: FullUser, client: UserClient
) -> HTMLResponse | RedirectResponse:
    """Show the team of an invitation, the account that joins it, and a button.

    If no user is signed in and `sign_in_url` is set, the browser is redirected there, and back after the sign-in.
    """
    if context.request.method == "HEAD":  # HEAD only checks whether there is a page, because a code has few attempts
        return message_page("Join a team", "Open this link in a browser.")
    await context.count_address()
    invited_to = await _read_invitation(context, client, code)
    return form_page(
        "Join a team",
        f"You have been invited to join the team {invited_to.team_display_name}.",
        note=f"This browser is signed in as {describe_account(user)}. This account joins the team.",
        action="accept",
        hidden={"code": code},
        button="Join the team",
    )


@routes.page("/invitations/accept", "Open an invitation", only="body")
@needs()
async def token_invitations_accept_page(code: LinkCode) -> HTMLResponse:  # noqa: ARG001 - the app reads the code, not the page
    """Open the link in the email. In this delivery, a browser has no tokens.

    Point the link at your app with `pages={"team_invitation": ...}`, and post the code to `/invitations/accept`.
    """
    return message_page("Go back to the app", "Open this link in the app to join the team.")


async def _read_invitation(context: RouteContext, client: StackAuthClient, code: str) -> InvitedTo:
    await context.count_account(code)
    return await client.team_invitations.details(code=code)
