"""The pages on which a user types the code of a command-line tool, and allows or denies it.

Law: they exist only if the app has `stack.cli_router()`, and use its options. The tool's link then opens them.
"""

from datetime import UTC, datetime
from typing import Any

from fastapi import Response
from fastapi.responses import RedirectResponse
from fastapi.security import SecurityScopes

from fastapi_stackauth.pages.messages import DEVICE_NOTICES, OF_DEVICES
from fastapi_stackauth.pages.route import NextPage, PageRoutes
from fastapi_stackauth.pages.showing import find_site, read_query, show
from fastapi_stackauth.routers.device import confirmation
from fastapi_stackauth.routers.device.codes import HALF, LETTERS
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext

routes = PageRoutes(for_cli=True)

PATH = "/cli-auth-confirm"


@routes.page(PATH)
async def show_device(context: Context) -> Response:
    """Show the browser's account and a field for the code. The user must have signed in within the last ten minutes."""
    if context.error is None and read_query(context, "done") in DEVICE_NOTICES:
        return await show(context, "device_done.html")
    await confirmation.RECENT_USER(context.request, SecurityScopes())
    start = (read_query(context, "code") or context.form.get("start", "")).upper()
    start = start if len(start) == HALF and set(start) <= set(LETTERS) else ""
    return await show(context, "device.html", fields=("user_code",), texts=OF_DEVICES, start=start)


async def _show_decision(context: RouteContext, device: Any) -> Response:  # noqa: ANN401 - JSON of the route
    """Show the device, with one button to allow it and one to deny it."""
    requested_at = datetime.fromtimestamp(device["requested_at"] / 1000, UTC)
    typed = confirmation.DeviceCodeRequest(user_code=context.form["user_code"], start=context.form.get("start", ""))
    return await show(
        context,
        "device_decision.html",
        device=device["client_id"],
        address=device["address"] or "",
        requested=f"{requested_at:%Y-%m-%d %H:%M} UTC",
        user_code=typed.full_code,
        languages=[],  # a link to another language would lose the code
    )


def _done(name: str) -> NextPage:
    return lambda context: find_site(context).link(PATH, done=name)


routes.action(
    f"{PATH}/verify",
    confirmation.routes,
    confirmation.device_verify,
    view=show_device,
    show_result=_show_decision,
    origin=PATH,
)
routes.action(
    f"{PATH}/confirm",
    confirmation.routes,
    confirmation.device_confirm,
    view=show_device,
    next_page=_done("device-allowed"),
    origin=PATH,
)
routes.action(
    f"{PATH}/deny",
    confirmation.routes,
    confirmation.device_deny,
    view=show_device,
    next_page=_done("device-denied"),
    origin=PATH,
)


@routes.page(f"{PATH}/{{rest:path}}")
async def reopen_device(context: Context) -> RedirectResponse:
    """Redirect to the page, for a browser that reloads the URL of one of its forms."""
    return RedirectResponse(find_site(context).link(PATH), 303)
