"""The sign-in methods of the project, so that a front end can show the right form."""

from typing import Annotated, ClassVar

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.http.installed import route_services
from fastapi_stackauth.models.base import TrustedModel
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.services import Services
from fastapi_stackauth.startup.configuration import needs

routes = Routes("methods")


class SignInMethods(TrustedModel, BaseModel):
    """The sign-in methods that the project has enabled. The app chooses which of these methods its router offers."""

    model_config = ConfigDict(frozen=True)

    _use: ClassVar[str] = "`{name}: Annotated[SignInMethods, Depends(sign_in_methods)]`"

    project_name: str = Field(description="The name of the project.", examples=["Notes"])
    sign_up: bool = Field(description="Whether new accounts can be created.", examples=[True])
    password: bool = Field(
        description="Whether users can sign in with an email address and a password.", examples=[True]
    )
    otp: bool = Field(description="Whether users can sign in with a code or a link in an email.", examples=[True])
    passkey: bool = Field(description="Whether users can sign in with a passkey.", examples=[False])
    oauth_providers: tuple[str, ...] = Field(
        description="The ids of the OAuth providers, the project's own included.",
        examples=[["github", "google"]],
    )
    account_deletion: bool = Field(description="Whether users may delete their own accounts.", examples=[False])


# This is also a public dependency, for pages that the app renders on the server.
@routes.get("/methods", "List the sign-in methods", operation="methods")
@needs("project_id")
async def sign_in_methods(services: Annotated[Services, Depends(route_services)]) -> SignInMethods:
    """Return the sign-in methods of the project, at most a minute old. Anonymous users need no setting.

    Returns:
        The sign-in methods that the project has enabled.
    """
    project = await services.project.get()
    config = project.config
    return SignInMethods(
        project_name=project.display_name,
        sign_up=config.sign_up_enabled,
        password=config.credential_enabled,
        otp=config.magic_link_enabled,
        passkey=config.passkey_enabled,
        oauth_providers=tuple(provider.id for provider in config.enabled_oauth_providers),
        account_deletion=config.client_user_deletion_enabled,
    )
