"""API keys of the signed-in user and of their teams: list, create, rename and revoke them.

Laws: these routes need a session and never accept an API key. Only the response that creates a key contains it. All
calls are made as the user, because the auth server checks only for clients whether a user may manage a key.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, Field

from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import ApiKeyNotValid, AuthError, RequestInvalid
from fastapi_stackauth.models import (
    ApiKeyCreate,
    ApiKeyUpdate,
    NewTeamApiKey,
    NewUserApiKey,
    TeamApiKey,
    UserApiKey,
)
from fastapi_stackauth.routers.plumbing.arguments import check_mount
from fastapi_stackauth.routers.plumbing.building import add_routes
from fastapi_stackauth.routers.plumbing.context import Context, Mount, RouteContext, SignedInUser, UserClient
from fastapi_stackauth.routers.plumbing.declaration import Delivery, Routes
from fastapi_stackauth.routers.plumbing.features import choose_features
from fastapi_stackauth.routers.plumbing.inputs import RequestBody, Uuid
from fastapi_stackauth.routers.plumbing.lists import ListResponse, find_listed, list_example
from fastapi_stackauth.routers.plumbing.pages import secret_page
from fastapi_stackauth.routers.teams.shared import (
    TEAM_ID,
    USER_ID,
    TeamId,
    changing,
    needs_permission,
    permission_missing,
)
from fastapi_stackauth.services import Stack

ApiKeyFeature = Literal["user_api_keys", "team_api_keys"]

user_routes = Routes("API keys", feature="user_api_keys")
team_routes = Routes("team API keys", feature="team_api_keys")

ApiKeyId = Annotated[
    Uuid, AfterValidator(str.lower), Path(description="The key's id, as returned when keys are listed.")
]

_MANAGE = "$manage_api_keys"
_OFF = 400  # the project has no such keys
_OF_USERS = (
    AuthError("authentication_required"),
    AuthError("cross_site_request", details={"origin": "not_trusted"}),
)  # any route for signed-in users has these errors; routes with forms list them, so that they can be pages too
_NOT_FOUND = "API_KEY_NOT_FOUND"
_LATEST = 253_402_300_799_999  # milliseconds: the end of the year 9999
_KEY: dict[str, Any] = {
    "id": "378f9b70-e609-401e-83f9-6bd71db14249",
    "description": "backup script",
    "type": "user",
    "is_public": False,
    "created_at_millis": 1762333949000,
    "expires_at_millis": 1770109949000,
    "manually_revoked_at_millis": None,
    "user_id": USER_ID,
    "value": {"last_four": "1d3f"},
}
_TEAM_KEY = {**{name: value for name, value in _KEY.items() if name != "user_id"}, "type": "team", "team_id": TEAM_ID}
_NEW = {"value": "sk_..."}

Description = Annotated[str, Field(description="What the key is for.", examples=["backup script"])]


class UserApiKeyList(ListResponse[UserApiKey]):
    """The user's keys."""


class TeamApiKeyList(ListResponse[TeamApiKey]):
    """The team's keys."""


class ApiKeyCreateRequest(RequestBody):
    """A new key."""

    description: Description
    expires_at_millis: int | None = Field(
        default=None,
        ge=0,
        le=_LATEST,
        description="When it expires, in milliseconds since 1970. If absent, it never does.",
        examples=[1770109949000],
    )
    is_public: bool = Field(
        default=False,
        description="Whether it may be published, such as in a web page: a secret scanner that finds it does not "
        "revoke it.",
        examples=[False],
    )

    def to_key(self) -> ApiKeyCreate:
        """Return the key for the auth server."""
        return ApiKeyCreate.model_validate(self.model_dump())


class ApiKeyUpdateRequest(RequestBody):
    """A new description."""

    description: Description


# --- the user's keys ---


@user_routes.get("/api-keys", "List your API keys", errors=(_OFF,), example=list_example(_KEY))
async def api_keys_list(client: UserClient) -> UserApiKeyList:
    """List your API keys, newest first, including expired and revoked ones."""
    return UserApiKeyList(items=await client.user_api_keys.list())


@user_routes.post(
    "/api-keys",
    "Create an API key",
    errors=(_OFF, *_OF_USERS),
    example={**_KEY, **_NEW},
    form=True,
    shows_result=True,
    status_code=201,
    requirement="create_api_key",
)
async def api_keys_create(body: ApiKeyCreateRequest, context: Context, client: UserClient) -> NewUserApiKey | Response:
    """Create an API key, which acts for you. Only this response contains its `value`.

    A form gets a page that shows it.
    """
    _check_expiry(body, context)
    key = await client.user_api_keys.create(body.to_key())
    return _show(key.value, context.next_page) if context.is_page_form else key


@user_routes.patch("/api-keys/{api_key_id}", "Rename an API key", errors=(_OFF, _NOT_FOUND), example=_KEY)
async def api_keys_update(api_key_id: ApiKeyId, body: ApiKeyUpdateRequest, client: UserClient) -> UserApiKey:
    """Change the description of one of your API keys."""
    find_listed(await client.user_api_keys.list(), api_key_id, _NOT_FOUND)
    return await client.user_api_keys.update(api_key_id, ApiKeyUpdate(description=body.description))


@user_routes.delete("/api-keys/{api_key_id}", "Revoke an API key", errors=(_OFF, _NOT_FOUND))
async def api_keys_revoke(api_key_id: ApiKeyId, context: Context, user: SignedInUser, client: UserClient) -> None:
    """Revoke one of your API keys. This cannot be undone. Repeating it has no effect.

    This app rejects the key from then on.
    """
    find_listed(await client.user_api_keys.list(), api_key_id, _NOT_FOUND)
    async with changing(context, team_id="", user_id=user.id):
        await client.user_api_keys.update(api_key_id, ApiKeyUpdate(revoked=True))


# --- the keys of a team ---


@team_routes.get(
    "/teams/{team_id}/api-keys",
    "List a team's API keys",
    errors=(_OFF, needs_permission(_MANAGE)),
    example=list_example(_TEAM_KEY),
)
async def team_api_keys_list(team_id: TeamId, client: UserClient) -> TeamApiKeyList:
    """List a team's API keys, newest first. This needs the permission `$manage_api_keys` in the team."""
    with _needing_permission(team_id):
        return TeamApiKeyList(items=await client.team_api_keys.list(team_id))


@team_routes.post(
    "/teams/{team_id}/api-keys",
    "Create an API key of a team",
    errors=(_OFF, *_OF_USERS, needs_permission(_MANAGE)),
    example={**_TEAM_KEY, **_NEW},
    form=True,
    shows_result=True,
    status_code=201,
    requirement="create_api_key",
)
async def team_api_keys_create(
    team_id: TeamId, body: ApiKeyCreateRequest, context: Context, client: UserClient
) -> NewTeamApiKey | Response:
    """Create an API key, which acts for a team. Only this response contains its `value`.

    This needs the permission `$manage_api_keys` in the team. A form gets a page that shows the key.
    """
    _check_expiry(body, context)
    with _needing_permission(team_id):
        key = await client.team_api_keys.create(body.to_key(), team_id=team_id)
    return _show(key.value, context.next_page) if context.is_page_form else key


@team_routes.patch(
    "/teams/{team_id}/api-keys/{api_key_id}",
    "Rename an API key of a team",
    errors=(_OFF, needs_permission(_MANAGE), _NOT_FOUND),
    example=_TEAM_KEY,
)
async def team_api_keys_update(
    team_id: TeamId, api_key_id: ApiKeyId, body: ApiKeyUpdateRequest, client: UserClient
) -> TeamApiKey:
    """Change the description of an API key of a team. This needs the permission `$manage_api_keys` in the team."""
    with _needing_permission(team_id):
        listed = await client.team_api_keys.list(team_id)
    find_listed(listed, api_key_id, _NOT_FOUND)
    change = ApiKeyUpdate(description=body.description)
    return await client.team_api_keys.update(api_key_id, change, team_id=team_id)


@team_routes.delete(
    "/teams/{team_id}/api-keys/{api_key_id}",
    "Revoke an API key of a team",
    errors=(_OFF, needs_permission(_MANAGE), _NOT_FOUND),
)
async def team_api_keys_revoke(team_id: TeamId, api_key_id: ApiKeyId, context: Context, client: UserClient) -> None:
    """Revoke an API key of a team. This cannot be undone. Repeating it has no effect.

    This needs the permission `$manage_api_keys` in the team. This app rejects the key from then on.
    """
    with _needing_permission(team_id):
        listed = await client.team_api_keys.list(team_id)
    find_listed(listed, api_key_id, _NOT_FOUND)
    async with changing(context, team_id=team_id):
        await client.team_api_keys.update(api_key_id, ApiKeyUpdate(revoked=True), team_id=team_id)


@contextmanager
def _needing_permission(team_id: str) -> Iterator[None]:
    """Wrap a call without a key id. If the auth server finds no key, the user may not manage the team's keys."""
    try:
        yield
    except ApiKeyNotValid:
        raise permission_missing(_MANAGE, team_id) from None


def _check_expiry(body: ApiKeyCreateRequest, context: RouteContext) -> None:
    """Reject a key that has already expired, such as one whose expiry is in seconds.

    Raises:
        RequestInvalid: 422.
    """
    if body.expires_at_millis is not None and body.expires_at_millis <= context.services.clock() * 1000:
        raise RequestInvalid((("body.expires_at_millis", "Must be in the future, in milliseconds since 1970"),))


def _show(value: str, next_page: str | None) -> Response:
    secret = "" if value.startswith("pk_") else " and keep it secret"  # `pk_`: a public key
    text = f"Copy it now{secret}. It is not shown again."
    return secret_page("Your new API key", text, label="API key", value=value, next_page=next_page)


def build_api_keys_router(
    stack: Stack,
    *,
    delivery: Delivery,
    include: Collection[ApiKeyFeature] | None = None,
    exclude: Collection[ApiKeyFeature] | None = None,
    max_age: timedelta | None = None,
) -> APIRouter:
    """Return a router with the API key routes of a stack, for `app.include_router`.

    Raises:
        ConfigurationError: The delivery or a feature does not exist, browsers would not store cookies for `app_url`, or
            `max_age` is not a positive timedelta.
    """
    features = choose_features(get_args(ApiKeyFeature), include, exclude)
    check_mount(stack, delivery, {}, ())
    # The session must exist and must not be an impersonation, because the key would outlive it.
    requirements = {"create_api_key": Require(allow_anonymous=True, live=True, max_age=max_age)}
    router, mount = APIRouter(), Mount(delivery, {}, requirements=requirements, features=features)
    for routes in (user_routes, team_routes):
        add_routes(router, routes, stack, mount)
    return router
