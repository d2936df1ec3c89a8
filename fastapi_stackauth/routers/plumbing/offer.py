"""What the project offers, for a front end to draw itself."""

from typing import ClassVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.models import Project
from fastapi_stackauth.models.base import TrustedModel
from fastapi_stackauth.routers.plumbing.operations import add
from fastapi_stackauth.routers.plumbing.route import Delivery, RouteStack
from fastapi_stackauth.startup.configuration import needs

TAG = "methods"


class Methods(TrustedModel, BaseModel):
    """What the project has switched on. It is for the app to choose which of them its router offers."""

    model_config = ConfigDict(frozen=True)

    _use: ClassVar[str] = "`{name}: Annotated[Methods, Depends(sign_in_methods)]`"

    project_name: str = Field(description="What the project is called.", examples=["Notes"])
    sign_up: bool = Field(description="Whether new accounts can be made.", examples=[True])
    password: bool = Field(description="Sign-in with e-mail address and password.", examples=[True])
    otp: bool = Field(description="Sign-in with a code or a link in a mail.", examples=[True])
    passkey: bool = Field(description="Sign-in with a passkey.", examples=[False])
    oauth_providers: tuple[str, ...] = Field(
        description="Sign-in at these providers; ids may be of providers of the project's own.",
        examples=[["github", "google"]],
    )
    account_deletion: bool = Field(description="Whether people may delete their own accounts.", examples=[False])

    @classmethod
    def of(cls, project: Project) -> "Methods":
        """The methods of a project."""
        config = project.config
        return cls(
            project_name=project.display_name,
            sign_up=config.sign_up_enabled,
            password=config.credential_enabled,
            otp=config.magic_link_enabled,
            passkey=config.passkey_enabled,
            oauth_providers=tuple(provider.id for provider in config.enabled_oauth_providers),
            account_deletion=config.client_user_deletion_enabled,
        )


# Public as a dependency too, for pages that draw themselves from it on the server.
@needs("project_id")
async def sign_in_methods(stack: RouteStack) -> Methods:
    """How people can sign in, as the project is set up; at most a minute old. Guests need no switch."""
    return Methods.of(await stack.project.get())


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put the route on a router."""
    add(router, delivery, "/methods", sign_in_methods, method="GET", operation="methods",
        summary="How people can sign in", response_model=Methods,
        response_description="What the project has switched on.", tag=TAG)  # fmt: skip
