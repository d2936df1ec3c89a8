"""The page that the link of an invitation opens. It describes the invitation and has a button to accept it.

Law: the code is removed from the URL immediately. A cookie keeps it while the user signs in, so that neither the URL of
the sign-in page nor a referrer contains it. Opening the link does not accept the invitation, because email scanners
follow links.
"""

from typing import Any

from fastapi import Response
from fastapi.responses import RedirectResponse

from fastapi_stackauth.errors import TeamNotFound, VerificationCodeError
from fastapi_stackauth.pages.messages import OF_INVITATIONS, find_message
from fastapi_stackauth.pages.route import PageRoutes
from fastapi_stackauth.pages.showing import find_account, find_site, refresh_changed_session, show, translate
from fastapi_stackauth.pages.teams import open_joined_team
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext
from fastapi_stackauth.routers.plumbing.inputs import LinkCode
from fastapi_stackauth.routers.teams import invitations

routes = PageRoutes()

PATH = "/team-invitation"
_FLOW = "team_invitation"
_OVER = (VerificationCodeError, TeamNotFound)
_SECONDS = 3600  # enough time to sign up and to verify an address


@routes.page(PATH, attempt="invitations_accept")
async def show_invitation(context: Context, code: LinkCode = "") -> Response:
    """Store the code of the link, then show the team, the account that joins it, and a button."""
    if code:
        context.transport.remember(_FLOW, {"code": code}, _SECONDS)
        return RedirectResponse(find_site(context).link(PATH), 303)
    code = context.form.get("code", "")[:200] or context.transport.recall(_FLOW).get("code", "")
    values: dict[str, Any] = {"code": code, "team": "", "over": ""}
    user, client = await find_account(context)
    if user.is_restricted and await refresh_changed_session(context, user, await client.users.me()):
        return RedirectResponse(find_site(context).link(PATH), 303)
    if user.is_anonymous or user.is_restricted or not code:
        return await show(context, "team_invitation.html", **values, is_restricted=user.is_restricted)
    try:
        if isinstance(context.error, _OVER):
            raise context.error
        if context.error is None:
            await context.count_address()
            await context.count_account(code)
        values["team"] = (await client.team_invitations.details(code=code)).team_display_name
    except _OVER as error:
        context.transport.forget(_FLOW)
        text = OF_INVITATIONS.get(error.code) or find_message(error.code)
        context.error, values["over"] = None, translate(context, text)
    return await show(context, "team_invitation.html", texts=OF_INVITATIONS, **values, is_restricted=False)


async def _open_team(context: RouteContext, joined: Any) -> Response:  # noqa: ANN401 - JSON of the route
    context.transport.forget(_FLOW)
    return await open_joined_team(context, joined)


routes.action(
    PATH,
    invitations.routes,
    invitations.invitations_accept,
    view=show_invitation,
    show_result=_open_team,
    origin=PATH,
)
