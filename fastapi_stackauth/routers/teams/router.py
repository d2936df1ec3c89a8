"""Build the router for teams."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from fastapi import APIRouter

from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.routers.plumbing.arguments import check_mount
from fastapi_stackauth.routers.plumbing.building import add_routes
from fastapi_stackauth.routers.plumbing.context import Mount
from fastapi_stackauth.routers.plumbing.declaration import Delivery, TeamPage
from fastapi_stackauth.routers.plumbing.features import choose_features
from fastapi_stackauth.routers.teams import invitations, members, permissions, teams
from fastapi_stackauth.routers.teams.grants import Grants
from fastapi_stackauth.services import Stack

TeamFeature = Literal["teams", "team_creation", "team_deletion", "members", "profiles", "permissions", "invitations"]


def build_teams_router(
    stack: Stack,
    *,
    delivery: Delivery,
    include: Collection[TeamFeature] | None = None,
    exclude: Collection[TeamFeature] | None = None,
    pages: Mapping[TeamPage, str] | None = None,
    create: Require | None = None,
    manage_permissions: Grants | None = None,
) -> APIRouter:
    """Return a router with the team routes of a stack, for `app.include_router`.

    Raises:
        ConfigurationError: The delivery, a feature or a page does not exist, browsers would not store cookies for
            `app_url`, `create` is not a `Require` or allows API keys, or `manage_permissions` is not a `Grants`.
    """
    given = {
        "create": (create, "team_creation"),
        "manage_permissions": (manage_permissions, "permissions"),
        "pages": (pages, "invitations"),
    }
    options = {name: feature for name, (value, feature) in given.items() if value is not None}
    features = choose_features(get_args(TeamFeature), include, exclude, options=options)
    check_mount(stack, delivery, pages or {}, get_args(TeamPage))
    if manage_permissions is not None and not isinstance(manage_permissions, Grants):
        raise ConfigurationError(
            f"manage_permissions must be Grants; got {manage_permissions!r}. "
            'Write manage_permissions=Grants(by="team_admin", grantable={"notes:delete"}).'
        )
    requirements = {}
    if create is not None:
        check_create(stack, create)
        requirements["create_team"] = create
    router = APIRouter()
    mount = Mount(delivery, dict(pages or {}), requirements=requirements, grants=manage_permissions, features=features)
    optional = () if manage_permissions is None else (permissions.routes,)
    for routes in (teams.routes, members.routes, *optional, invitations.routes):
        add_routes(router, routes, stack, mount)
    return router


def check_create(stack: Stack, create: object) -> None:
    """Check the requirements for creating a team.

    Raises:
        ConfigurationError: They are not a `Require`, allow API keys, need a team, or are for another stack.
    """
    if not isinstance(create, Require):
        raise ConfigurationError(f"create must be an instance of Require; got {create!r}. Write create=Require(...).")
    create.reject_api_keys()
    if create.team_permission or create.team_member:
        raise ConfigurationError(
            "create cannot require a permission or a membership in a team, because the team does not exist yet. "
            "Write create=Require(permission=...) for a permission in the project."
        )
    if create.stack not in (None, stack):
        raise ConfigurationError("create belongs to another stack. Write create=Require(...) without stack=.")
