"""The account page: profile, picture, addresses, password, passkey, second factor, sessions, providers, keys, teams."""

from io import BytesIO
from typing import Any

from fastapi import Response
from fastapi.responses import RedirectResponse

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.models import ContactChannel, CurrentUserProfile, Session
from fastapi_stackauth.pages.keys import FIELDS as KEY_FIELDS
from fastapi_stackauth.pages.keys import describe_keys, list_expiries, show_new_key
from fastapi_stackauth.pages.messages import INVALID_FIELDS, QR_CODE, find_message
from fastapi_stackauth.pages.pictures import FIELD, MAX_PICTURE, find_origin
from fastapi_stackauth.pages.route import NextPage, PageRoutes
from fastapi_stackauth.pages.showing import find_account, find_site, read_query, show, translate
from fastapi_stackauth.routers import api_keys
from fastapi_stackauth.routers.account import connected_accounts, contact_channels, profile
from fastapi_stackauth.routers.methods import mfa, oauth, overview, passkey, password, session
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext
from fastapi_stackauth.routers.plumbing.declaration import Routes

routes = PageRoutes()

PATH = "/account-settings"
TWO_FACTOR = f"{PATH}/two-factor"


@routes.page(PATH)
async def show_account(context: Context) -> Response:
    """Show the account of the signed-in user, with a form for each change."""
    user, client = await find_account(context)
    account = await client.users.me()
    methods = await overview.sign_in_methods(context.services)
    passwords = ("old_password", "new_password") if account.has_password else ("password",)
    code = read_query(context, "error")
    origin = find_origin(account.profile_image_url or "", insecure=(context.settings.app_url or "").startswith("http:"))
    return await show(
        context,
        "account.html",
        fields=("display_name", FIELD, "value", *passwords, *KEY_FIELDS, "confirm"),
        texts={"request_too_large": INVALID_FIELDS[FIELD]},
        kept=("display_name", "value", "used_for_auth", "description"),
        picture=origin,
        picture_url=account.profile_image_url if origin is not None else "",
        has_picture=bool(account.profile_image_url),
        max_picture=MAX_PICTURE,
        picture_rule=translate(context, INVALID_FIELDS[FIELD]),
        profile=_describe_account(account),
        addresses=[_describe_address(each) for each in await client.contact_channels.list()],
        sessions=[_describe_session(each, user.session_id) for each in await client.sessions.list()],
        connected=[each.id for each in account.oauth_providers],
        methods=methods.model_dump(),
        back=find_site(context).link(PATH, done="connected"),
        **await _find_keys_and_teams(context, client, account),
        failed=translate(context, find_message(code)) if code else "",
    )


async def _find_keys_and_teams(
    context: RouteContext, client: StackAuthClient, account: CurrentUserProfile
) -> dict[str, Any]:
    config = (await context.services.project.get()).config
    has_keys = config.allow_user_api_keys and not account.is_anonymous
    listed = [] if account.is_anonymous else await client.teams.list()
    invited = [] if account.is_anonymous else await client.team_invitations.list_for_user()
    return {
        "has_keys": has_keys,
        "keys": describe_keys(context, await client.user_api_keys.list() if has_keys else ()),
        "expiries": list_expiries(context),
        "teams": [{"id": each.id, "name": each.display_name} for each in listed],
        "invitations": len(invited),
        "has_teams": not account.is_anonymous and bool(config.client_team_creation_enabled or listed or invited),
    }


def _describe_account(account: CurrentUserProfile) -> dict[str, Any]:
    return {
        "display_name": account.display_name or "",
        "primary_email": account.primary_email or "",
        "has_password": account.has_password,
        "has_passkey": account.passkey_auth_enabled,
        "has_mfa": account.requires_totp_mfa,
        "is_anonymous": account.is_anonymous,
    }


def _describe_address(address: ContactChannel) -> dict[str, Any]:
    names = ("id", "value", "is_primary", "is_verified", "used_for_auth")
    return {name: getattr(address, name) for name in names}


def _describe_session(listed: Session, current: str | None) -> dict[str, Any]:
    place, used_at = listed.last_used_at_end_user_ip_info, listed.last_used_at or listed.created_at
    parts = (place.city_name, place.country_code, place.ip) if place else ()
    return {
        "id": listed.id,
        "started": f"{listed.created_at:%Y-%m-%d %H:%M} UTC",
        "used": f"{used_at:%Y-%m-%d %H:%M} UTC",
        "place": ", ".join(part for part in parts if part),
        "is_current": bool(listed.is_current_session) or listed.id == current,
    }


@routes.page(TWO_FACTOR)
async def show_two_factor(context: Context) -> Response:
    """Show the secret for an authenticator app as a QR code. It stays the same after a wrong code."""
    user, _ = await find_account(context)
    enrollment = await mfa.totp_enrollment(context.request, context.services, user)
    title = translate(context, QR_CODE)
    secret, qr_code = enrollment.secret, _draw_qr_code(enrollment.uri, title)
    return await show(context, "two_factor.html", fields=("code",), secret=secret, qr_code=qr_code)


def _draw_qr_code(content: str, title: str) -> Any:  # noqa: ANN401 - markup of the extra
    """Return a QR code as inline SVG, without a style."""
    import segno  # noqa: PLC0415 - of the extra
    from markupsafe import Markup  # noqa: PLC0415 - likewise

    image = BytesIO()
    segno.make(content, micro=False).save(
        image, kind="svg", xmldecl=False, scale=5, border=3, light="#fff", title=title
    )
    return Markup(image.getvalue().decode())  # noqa: S704 - the library escapes its input


# --- the forms ---


def _back(done: str) -> NextPage:
    return lambda context: find_site(context).link(PATH, done=done)


def _add(path: str, module: Routes, handler: Any, done: str, *, uploads: bool = False) -> None:  # noqa: ANN401 - the handler of a JSON route
    more: dict[str, Any] = {"next_page": _back(done), "uploads": uploads}
    routes.action(PATH + path, module, handler, view=show_account, origin=PATH, **more)


_add("/profile", profile.routes, profile.me_update, "saved")
_add("/emails", contact_channels.routes, contact_channels.contact_channels_add, "address")
_add("/emails/{channel_id}/delete", contact_channels.routes, contact_channels.contact_channels_delete, "removed")
_add("/emails/{channel_id}/primary", contact_channels.routes, contact_channels.contact_channels_make_primary, "saved")
_add(
    "/emails/{channel_id}/verify", contact_channels.routes, contact_channels.contact_channels_send_verification, "sent"
)
_add("/password/set", password.routes, password.password_set, "saved")
_add("/password", password.routes, password.password_update, "password-changed")
_add("/passkey/delete", passkey.routes, passkey.passkey_delete, "removed")
_add("/two-factor/disable", mfa.routes, mfa.mfa_disable, "mfa-off")
_add("/sessions/delete", session.routes, session.sessions_end_others, "sessions")
_add("/sessions/{session_id}/delete", session.routes, session.sessions_end, "sessions")
_add("/providers/{provider}/delete", connected_accounts.routes, connected_accounts.connected_accounts_delete, "removed")
routes.action(
    TWO_FACTOR, mfa.routes, mfa.mfa_confirm, view=show_two_factor, next_page=_back("mfa-on"), origin=TWO_FACTOR
)
_add("/picture", profile.routes, profile.me_update, "saved", uploads=True)
_add("/picture/delete", profile.routes, profile.me_update, "removed")
_add("/api-keys/{api_key_id}/delete", api_keys.user_routes, api_keys.api_keys_revoke, "removed")
routes.action(
    f"{PATH}/api-keys",
    api_keys.user_routes,
    api_keys.api_keys_create,
    view=show_account,
    show_result=show_new_key(lambda _: PATH),
    origin=PATH,
)


async def _sign_out(context: RouteContext, _: object) -> Response:
    await session.sign_out(context)
    return RedirectResponse(find_site(context).link("/sign-out", done="everywhere"), 303)


routes.action(
    f"{PATH}/sign-out-everywhere",
    session.routes,
    session.sessions_end_others,
    view=show_account,
    show_result=_sign_out,
    origin=PATH,
)
routes.action(
    f"{PATH}/delete",
    profile.routes,
    profile.me_delete,
    view=show_account,
    confirmation="confirm",
    next_page=lambda context: find_site(context).link("/sign-out", done="account-deleted"),
    origin=PATH,
)
routes.include(oauth.routes, oauth.oauth_link, f"{PATH}/providers/{{provider}}/connect", origin=PATH)


@routes.page(f"{PATH}/{{rest:path}}")
async def reopen_account(context: Context) -> RedirectResponse:
    """Redirect to the page, for a browser that reloads the URL of one of its forms."""
    return RedirectResponse(find_site(context).link(PATH), 303)
