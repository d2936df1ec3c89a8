"""A user's email addresses, and their verification."""

from typing import Annotated

from fastapi import Path, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from fastapi_stackauth.errors import KnownApiError
from fastapi_stackauth.models import ContactChannel, ContactChannelCreate, ContactChannelUpdate
from fastapi_stackauth.routers.plumbing.context import Context, SignedInUser, UserClient
from fastapi_stackauth.routers.plumbing.declaration import VERIFICATION_CODE_ERRORS, Routes
from fastapi_stackauth.routers.plumbing.examples import CHANNEL, CHANNELS
from fastapi_stackauth.routers.plumbing.inputs import Email, LinkCode, OneTimeCode, RequestBody, Uuid
from fastapi_stackauth.routers.plumbing.pages import form_page, message_page
from fastapi_stackauth.startup.configuration import needs

routes = Routes("contact channels", feature="contact_channels")

ChannelId = Annotated[Uuid, Path(description="The id of the email address, as returned when addresses are listed.")]

_REJECTED = 400
_VERIFYING = ("contact_channels", "sign_up")  # the email of a sign-up has such a link too
_TAKEN = KnownApiError.of(
    "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE", details={"would_work_if_email_was_verified": False}
)


@routes.get("/contact-channels", "List your email addresses", example=CHANNELS)
async def contact_channels_list(client: UserClient) -> list[ContactChannel]:
    """List the signed-in user's email addresses, oldest first.

    Returns:
        The email addresses of the user.
    """
    return list(await client.contact_channels.list())


class ContactChannelAddRequest(RequestBody):
    """An email address to add."""

    value: Email
    used_for_auth: bool = Field(
        default=False, description="Whether it can be used to sign in to the account.", examples=[False]
    )


@routes.post("/contact-channels", "Add an email address", errors=(_TAKEN, _REJECTED), example=CHANNEL, status_code=201)
async def contact_channels_add(body: ContactChannelAddRequest, client: UserClient) -> ContactChannel:
    """Add an email address. It is unverified: send it an email with `/contact-channels/{channel_id}/send-verification`.

    Returns:
        The email address is added.
    """
    return await client.contact_channels.create(
        ContactChannelCreate(value=body.value, used_for_auth=body.used_for_auth)
    )


@routes.delete("/contact-channels/{channel_id}", "Delete an email address", errors=(_REJECTED,))
async def contact_channels_delete(channel_id: ChannelId, client: UserClient) -> None:
    """Delete an email address. It can no longer be used to sign in.

    Returns:
        The email address is deleted.
    """
    await client.contact_channels.delete(channel_id)


@routes.post(
    "/contact-channels/{channel_id}/make-primary",
    "Make an email address primary",
    errors=(_TAKEN, _REJECTED),
    example=CHANNEL,
)
async def contact_channels_make_primary(channel_id: ChannelId, client: UserClient) -> ContactChannel:
    """Make an email address the primary address of the account.

    Access tokens contain the new address after a refresh (`/session/refresh`).

    Returns:
        The primary email address.
    """
    return await client.contact_channels.update(channel_id, ContactChannelUpdate(is_primary=True))


@routes.post(
    "/contact-channels/{channel_id}/send-verification",
    "Send a verification email",
    errors=("EMAIL_ALREADY_VERIFIED", 404),
    attempt="send_verification",
)
@needs("project_id", "app_url", unless_page="verify_email")
async def contact_channels_send_verification(
    channel_id: ChannelId, context: Context, user: SignedInUser, client: UserClient
) -> None:
    """Send an email with a link that verifies the address.

    The link opens this router's page, or your own: `pages={"verify_email": ...}`.

    Returns:
        The email is sent.
    """
    await context.count_account(user.id)
    await client.contact_channels.send_verification_code(channel_id, callback_url=context.page_url("verify_email"))


class VerifyEmailRequest(RequestBody):
    """The code of a link that verifies an email address."""

    code: OneTimeCode


@routes.post(
    "/verify-email",
    "Verify an email address",
    errors=(*VERIFICATION_CODE_ERRORS, _REJECTED),
    attempt="verify_email",
    form=True,
    features=_VERIFYING,
)
async def verify_email(body: VerifyEmailRequest, context: Context) -> Response | None:
    """Verify an email address with the code of the link in the email. The caller does not have to be signed in.

    Access tokens contain the change after a refresh (`/session/refresh`). The form of this router's page posts here
    too, and gets a page as the response.

    Returns:
        The email address is verified.
    """
    code = body.code.get_secret_value()
    await context.count_account(code)
    await context.client.contact_channels.verify(code=code)
    if context.is_page_form:
        return message_page("Your address is verified", "Thank you. You can close this page.")
    return None


@routes.page("/verify-email", "Show the email verification page", features=_VERIFYING)
@needs()
async def verify_email_page(code: LinkCode) -> HTMLResponse:
    """Show a page with a button that verifies the address, because email scanners follow the link in the email."""
    return form_page(
        "Verify your address",
        "Is this email address yours?",
        action="verify-email",
        hidden={"code": code},
        button="Yes, verify it",
    )
