"""The signed-in user's account: read, change and delete it."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field

from fastapi_stackauth.dependencies import LoadProfile
from fastapi_stackauth.errors import SignInRequired
from fastapi_stackauth.http.bodies import PICTURE
from fastapi_stackauth.models import CurrentUserProfile, CurrentUserUpdate
from fastapi_stackauth.routers.plumbing.context import ANY_USER, Context, SignedInUser, UserClient
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.examples import ACCOUNT
from fastapi_stackauth.routers.plumbing.inputs import Json, RequestBody, Url, Uuid

routes = Routes("account", feature="account")

Account = Annotated[CurrentUserProfile, Depends(LoadProfile(require=ANY_USER))]


@routes.get("/me", "Get your account", example=ACCOUNT)
async def me(account: Account) -> CurrentUserProfile:
    """Get the current account of the signed-in user from the auth server. Anonymous users have an account too.

    Returns:
        The account.
    """
    return account


class AccountUpdateRequest(RequestBody):
    """The fields to change. Omitted fields stay the same, and null clears a field."""

    display_name: str | None = Field(
        default=None, max_length=256, description="The display name.", examples=["Ada Lovelace"]
    )
    profile_image_url: Url | None = Field(
        default=None,
        max_length=1_000_000,
        description="An image as a base64 data URL.",
        examples=["data:image/png;base64,..."],
    )
    client_metadata: Json = Field(
        default=None,
        description="JSON that the user may write. It replaces the previous value.",
        examples=[{"theme": "dark"}],
    )
    selected_team_id: Uuid | None = Field(
        default=None,
        description="The id of the selected team.",
        examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"],
    )


@routes.patch(
    "/me", "Update your account", errors=("TEAM_MEMBERSHIP_NOT_FOUND", 400), example=ACCOUNT, max_body=PICTURE
)
async def me_update(body: AccountUpdateRequest, client: UserClient) -> CurrentUserProfile:
    """Update your account. Access tokens contain the changes after a refresh (`/session/refresh`).

    Returns:
        The updated account.
    """
    return await client.users.update_me(CurrentUserUpdate(**body.model_dump(exclude_unset=True)))


@routes.delete("/me", "Delete your account", errors=(400,), features=("account_deletion",))
async def me_delete(context: Context, user: SignedInUser, client: UserClient) -> None:
    """Delete your account, if the project allows it. This cannot be undone.

    Returns:
        The account is deleted.
    """
    try:
        await client.users.delete_me()
    except SignInRequired:  # perhaps by the first attempt, if its response was lost
        await context.services.revocations.revoke_user(user.id)
        raise
    await context.services.revocations.revoke_user(user.id)
    context.transport.forget_session()
