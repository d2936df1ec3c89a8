"""The account that is signed in: read it, change what people may change of their own, delete it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from fastapi_stackauth.dependencies import LoadProfile
from fastapi_stackauth.errors import KnownApiError, UnexpectedAnswer, UserGone
from fastapi_stackauth.http.bodies import PICTURE
from fastapi_stackauth.models import CurrentUserProfile, CurrentUserUpdate
from fastapi_stackauth.routers.plumbing.caller import ANYBODY, SIGNED_OUT, PersonsClient, SignedInUser
from fastapi_stackauth.routers.plumbing.examples import ACCOUNT
from fastapi_stackauth.routers.plumbing.inputs import Json, Url, Uuid
from fastapi_stackauth.routers.plumbing.operations import add
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack, mount_of

TAG = "account"

Account = Annotated[CurrentUserProfile, Depends(LoadProfile(require=ANYBODY))]


class AccountChange(Form):
    """What to change; what is absent stays as it is, and null clears it."""

    display_name: str | None = Field(default=None, max_length=256, description="The name.", examples=["Ada Lovelace"])
    profile_image_url: Url | None = Field(
        default=None,
        max_length=1_000_000,
        description="An image as a base64 data URL.",
        examples=["data:image/png;base64,..."],
    )
    client_metadata: Json = Field(
        default=None,
        description="Any JSON that the person may write; it replaces what is there.",
        examples=[{"theme": "dark"}],
    )
    selected_team_id: Uuid | None = Field(
        default=None,
        description="The team they work in.",
        examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"],
    )


async def me(account: Account) -> CurrentUserProfile:
    """The account that is signed in, as the auth server knows it now. Guests and restricted users have one too."""
    return account


async def change(body: AccountChange, client: PersonsClient) -> CurrentUserProfile:
    """Change one's own account. Access tokens tell of it once they are renewed (`/session/refresh`)."""
    return await client.users.update_me(CurrentUserUpdate(**body.model_dump(exclude_unset=True)))


async def delete(request: Request, stack: RouteStack, user: SignedInUser, client: PersonsClient) -> None:
    """Delete one's own account, where the project lets people do so. There is no way back."""
    try:
        await client.users.delete_me()
    except UserGone:  # perhaps at our first attempt, whose answer was lost
        await stack.revocations.revoke_user(user.id)
        raise
    await stack.revocations.revoke_user(user.id)
    if mount_of(request).delivery == "cookie":
        stack.sessions.forget(request)


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put these routes on a router."""
    refused = UnexpectedAnswer(400)
    add(router, delivery, "/me", me, method="GET", operation="me", summary="Who is signed in",
        response_model=CurrentUserProfile, response_description="The account.", tag=TAG,
        example=ACCOUNT)  # fmt: skip
    add(router, delivery, "/me", change, method="PATCH", operation="me_change", summary="Change one's account",
        max_body=PICTURE,
        response_model=CurrentUserProfile, response_description="The account as it is now.", tag=TAG, example=ACCOUNT,
        errors=(*SIGNED_OUT, KnownApiError.of("TEAM_MEMBERSHIP_NOT_FOUND"),
                refused))  # fmt: skip
    add(router, delivery, "/me", delete, method="DELETE", operation="me_delete", summary="Delete one's account",
        response_description="Deleted.", tag=TAG, errors=(*SIGNED_OUT, refused))  # fmt: skip
