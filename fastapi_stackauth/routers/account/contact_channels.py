"""A person's e-mail addresses, and their verification."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import Field

from fastapi_stackauth.errors import KnownApiError, UnexpectedAnswer
from fastapi_stackauth.models import ContactChannel, ContactChannelCreate, ContactChannelUpdate
from fastapi_stackauth.routers.plumbing.caller import SIGNED_OUT, PersonsClient, SignedInUser, client_of, count_account
from fastapi_stackauth.routers.plumbing.examples import CHANNEL, CHANNELS
from fastapi_stackauth.routers.plumbing.inputs import Email, OneTimeCode, Uuid
from fastapi_stackauth.routers.plumbing.links import VERIFY
from fastapi_stackauth.routers.plumbing.operations import VERIFICATION_CODE_ERRORS, add, add_page
from fastapi_stackauth.routers.plumbing.pages import form_page, message_page
from fastapi_stackauth.routers.plumbing.posted import Posted, posted_by_page
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack, page_address
from fastapi_stackauth.startup.configuration import needs

TAG = "contact channels"
ALL = "/contact-channels"
ONE = "/contact-channels/{channel_id}"

ChannelId = Annotated[Uuid, Path(description="The address's id, as the list has it.")]


class NewAddress(Form):
    """An address to add."""

    value: Email
    used_for_auth: bool = Field(
        default=False, description="Whether the account may be signed in to with it.", examples=[False]
    )


class EmailCode(Form):
    """The code of a link that verifies an address."""

    code: OneTimeCode


async def list_addresses(client: PersonsClient) -> list[ContactChannel]:
    """The signed-in person's addresses, oldest first."""
    return list(await client.contact_channels.list())


async def add_address(body: NewAddress, client: PersonsClient) -> ContactChannel:
    """Add an address. It is unverified; have a mail sent with `/contact-channels/{channel_id}/send-verification`."""
    return await client.contact_channels.create(
        ContactChannelCreate(value=body.value, used_for_auth=body.used_for_auth)
    )


async def remove_address(channel_id: ChannelId, client: PersonsClient) -> None:
    """Remove an address. Whoever signed in with it can do so no more."""
    await client.contact_channels.delete(channel_id)


async def make_primary(channel_id: ChannelId, client: PersonsClient) -> ContactChannel:
    """Make an address the account's primary one, in place of the one before.

    Access tokens tell the new address once they are renewed (`/session/refresh`).
    """
    return await client.contact_channels.update(channel_id, ContactChannelUpdate(is_primary=True))


@needs("project_id", "app_url", unless_page="verify_email")
async def send_verification(
    channel_id: ChannelId, request: Request, stack: RouteStack, user: SignedInUser, client: PersonsClient
) -> None:
    """Send the mail with a link that verifies an address.

    The link leads to the page of this router, or to yours: `pages={"verify_email": ...}`.
    """
    await count_account(stack, "send_verification", user.id)
    own = f"{ALL}/{channel_id}/send-verification"
    link = page_address(request, stack, "verify_email", own, VERIFY)
    await client.contact_channels.send_verification_code(channel_id, callback_url=link)


_VERIFY_BODY = Posted(EmailCode)


async def verify(
    body: Annotated[EmailCode, Depends(_VERIFY_BODY)], request: Request, stack: RouteStack
) -> Response | None:
    """Verify an address with the code of the link in the mail. Nobody needs to be signed in.

    Access tokens tell of it once they are renewed (`/session/refresh`). The page's button posts here too, and is
    answered with a page.
    """
    code = body.code.get_secret_value()
    await count_account(stack, "verify_email", code)
    await (await client_of(request, stack)).contact_channels.verify(code=code)
    if posted_by_page(request):
        return message_page("Your address is verified", "Thank you. You can close this page.")
    return None


@needs()
async def verify_page(code: Annotated[str, Query(max_length=200, description="The code of the link.")]) -> Response:
    """Where the link in the mail leads: a page with a button, since programs that look at mails follow links."""
    return form_page(
        "Verify your address",
        "Is this e-mail address yours?",
        action="verify-email",
        code=code,
        button="Yes, verify it",
    )


_REFUSED, _UNKNOWN = UnexpectedAnswer(400), UnexpectedAnswer(404)
_TAKEN = KnownApiError.of(
    "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE", details={"would_work_if_email_was_verified": False}
)


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put these routes on a router."""
    add(router, delivery, ALL, list_addresses, method="GET", operation="contact_channels_list",
        summary="One's addresses", response_model=list[ContactChannel], response_description="The addresses.",
        tag=TAG, errors=SIGNED_OUT, example=CHANNELS)  # fmt: skip
    add(router, delivery, ALL, add_address, operation="contact_channels_add", summary="Add an address",
        status_code=201, response_model=ContactChannel, response_description="Added.", tag=TAG, example=CHANNEL,
        errors=(*SIGNED_OUT, _TAKEN, _REFUSED))  # fmt: skip
    add(router, delivery, ONE, remove_address, method="DELETE", operation="contact_channels_remove",
        summary="Remove an address", response_description="Removed.", tag=TAG,
        errors=(*SIGNED_OUT, _REFUSED))  # fmt: skip
    add(router, delivery, f"{ONE}/make-primary", make_primary, operation="contact_channels_make_primary",
        summary="Make an address the primary one", response_model=ContactChannel,
        response_description="The address.", tag=TAG, example=CHANNEL,
        errors=(*SIGNED_OUT, _TAKEN, _REFUSED))  # fmt: skip
    add(router, delivery, f"{ONE}/send-verification", send_verification,
        operation="contact_channels_send_verification", summary="Have an address verified",
        response_description="On its way.", tag=TAG, attempt="send_verification",
        errors=(*SIGNED_OUT, KnownApiError.of("EMAIL_ALREADY_VERIFIED"), _UNKNOWN))  # fmt: skip
    add_page(router, delivery, VERIFY, verify_page, operation="verify_email_page",
             summary="Open a link to verify an address", tag=TAG)  # fmt: skip
    add(router, delivery, VERIFY, verify, operation="verify_email", summary="Verify an address",
        response_description="Verified.", tag=TAG, errors=(*VERIFICATION_CODE_ERRORS, _REFUSED),
        attempt="verify_email", openapi_extra=_VERIFY_BODY.documented)  # fmt: skip
