"""The signed-in user's current account, and the access token for calls on the user's behalf."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

from fastapi.security import SecurityScopes
from pydantic import BaseModel, SecretStr, ValidationError
from starlette.requests import HTTPConnection

from fastapi_stackauth.dependencies.team_source import check_source, document_source, find_team_id
from fastapi_stackauth.dependencies.users import (
    Require,
    check_require,
    current_user,
    resolve_with_token,
    resolve_with_user,
)
from fastapi_stackauth.errors import AuthServerError, ConfigurationError, RequestError
from fastapi_stackauth.http.installed import Resolution
from fastapi_stackauth.http.schemes import Documentation, Secured
from fastapi_stackauth.models import CurrentUserProfile, Team, User
from fastapi_stackauth.verification.rejections import find_rejection

M = TypeVar("M", bound=BaseModel)

_OUT_OF_REACH: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("auth_server_unavailable", {}),
    ("auth_server_rate_limited", {}),
    ("auth_server_unexpected_response", {}),
)
"""The errors that can occur when the library loads an account."""


class Profile(CurrentUserProfile, Generic[M]):
    """An account with `client_metadata` of a type that the app defines."""

    _use: ClassVar[str] = "`{name}: Annotated[Profile[Preferences], Depends(LoadProfile(Preferences))]`"

    client_metadata: M  # type: ignore[assignment]  # narrower than JSON, on purpose


@dataclass(frozen=True, eq=False)
class LoadProfile(Secured, Generic[M]):
    """Load the caller's account from `GET /users/me`: one call to the auth server per request.

    Attributes:
        metadata: Your model for `client_metadata`. The endpoint then receives a `Profile` of this model; users without
            metadata get the model's defaults. Without a model, `client_metadata` is JSON.
        require: The requirements that the user must meet first.

    Example:
        >>> class Preferences(BaseModel):
        ...     theme: str = "light"
        >>> @app.get("/theme")
        ... async def theme(profile: Annotated[Profile[Preferences], Depends(LoadProfile(Preferences))]) -> str:
        ...     return profile.client_metadata.theme

    Raises:
        RequestError: 409, if the stored metadata does not fit the model.
        AuthError: As `require` does; 401 `user_deleted` if the account was deleted.
        AuthServerError: If the account cannot be read.
    """

    _use: ClassVar[str] = (
        "`profile: CurrentProfile`, or `profile: Annotated[Profile[Preferences], Depends({name}(Preferences))]`"
    )

    metadata: type[M] | None = None
    require: Require = current_user

    def __post_init__(self) -> None:
        check_require(self, self.require)
        self._check_metadata()
        super().__post_init__()
        self.require.reject_api_keys()

    def _check_metadata(self) -> None:
        model: object = self.metadata
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise ConfigurationError(
                f"LoadProfile(metadata=...) must be a pydantic model; got {model!r}. "
                "Write LoadProfile(Preferences), and LoadProfile(require=Require(...)) for requirements."
            )

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation of its routes: the requirements, and the errors of loading the account."""
        own = self.require.describe()
        errors = (*own.errors, *_OUT_OF_REACH)
        if self.metadata is not None:
            errors = (*errors, ("profile_metadata_invalid", {}))
        return replace(own, errors=errors)

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> CurrentUserProfile:
        """Return the account, which FastAPI passes to the endpoint."""
        user, resolution = await resolve_with_token(self.require, connection, scopes)
        try:
            if resolution.credential is None:  # a test overrides the user, so there is no account to load
                profile = _profile_from(user)
            else:
                profile = await _fetch_profile(resolution, resolution.credential.token)
            return profile if self.metadata is None else _with_metadata(profile, self.metadata)
        except RequestError as error:
            resolution.services.events.mark_rejection(error)
            raise


@dataclass(frozen=True, eq=False)
class RequireAccessToken(Secured):
    """Return the caller's verified access token, for calls to the auth server on their behalf.

    Attributes:
        require: The requirements that the user must meet first.

    Example:
        >>> @app.get("/teams")
        ... async def teams(token: AccessToken):
        ...     return await stack.client.as_user(token.get_secret_value()).users.me()
    """

    _use: ClassVar[str] = "`token: AccessToken`, or `token: Annotated[SecretStr, Depends({name}(...))]`"

    require: Require = current_user

    def __post_init__(self) -> None:
        check_require(self, self.require)
        super().__post_init__()
        self.require.reject_api_keys()

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation of its routes: the requirements."""
        return self.require.describe()

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> SecretStr:
        """Return the token, which FastAPI passes to the endpoint."""
        user, resolution = await resolve_with_token(self.require, connection, scopes)
        credential = resolution.credential
        return SecretStr(credential.token if credential else f"access-token-of-{user.id}")


@dataclass(frozen=True, eq=False)
class RequireTeam(Secured):
    """Return the team of a request, if the user is a member; cached for `authorization_ttl` seconds.

    Attributes:
        team: The source of the team's id, as for `Require`: the name of a path parameter, ``query:name``,
            ``header:name``, or ``selected``.
        require: The requirements that the user must meet first.

    Example:
        >>> @app.get("/teams/{team_id}")
        ... async def show(team: CurrentTeam) -> Team: ...
        >>> Selected = Annotated[Team, Depends(RequireTeam("selected"))]

    Raises:
        AuthError: As `require` does; 403 `permission_missing`, or 404 `team_not_found`, unless the user is a member.
        RequestInvalid: 400, if the team's id is missing or given twice.
        AuthServerError: The team cannot be read.
        ConfigurationError: The source is not valid.
    """

    _use: ClassVar[str] = "`team: CurrentTeam`, or `team: Annotated[Team, Depends({name}(...))]`"

    team: str = "team_id"
    require: Require = current_user

    def __post_init__(self) -> None:
        check_source(self.team)
        check_require(self, self.require)
        super().__post_init__()

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation of its routes."""
        own = self.require.describe()
        errors = (*own.errors, ("permission_missing", {}), ("team_not_found", {}))
        sentences = (*own.sentences, f"For members of the team (`{self.team}`).")
        parameters = own.parameters + document_source(self.team)
        return Documentation(errors, sentences, parameters, api_key=own.api_key)

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> Team:
        """Return the team, which FastAPI passes to the endpoint."""
        user, resolution = await resolve_with_user(self.require, connection, scopes)
        try:
            team_id = find_team_id(connection, self.team, user)
            if resolution.token is None:  # a test overrides the user, so there is no token for the auth server
                return Team(id=team_id, display_name=team_id)
            return await resolution.services.authorization.team(user, resolution.token, team_id)
        except RequestError as error:
            resolution.services.events.mark_rejection(error)
            raise


current_team = RequireTeam()
"""The team with the id in the path parameter `team_id`, if the user is a member (see `RequireTeam`)."""

current_profile: LoadProfile[Any] = LoadProfile()
"""The signed-in user's current account at the auth server (see `LoadProfile`)."""

access_token = RequireAccessToken()
"""The signed-in user's verified access token as `SecretStr` (see `RequireAccessToken`)."""


def _with_metadata(profile: CurrentUserProfile, model: type[M]) -> Profile[M]:
    stored = {} if profile.client_metadata is None else profile.client_metadata
    try:
        metadata = model.model_validate(stored)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        fields = tuple(".".join(map(str, fault["loc"])) for fault in faults)
        raise RequestError("profile_metadata_invalid", details={"fields": list(fields)}) from None
    return Profile[M].model_construct(None, **{**dict(profile), "client_metadata": metadata})


async def _fetch_profile(resolution: Resolution, token: str) -> CurrentUserProfile:
    try:
        return await resolution.services.client.as_user(token).users.me()
    except AuthServerError as error:
        if rejection := find_rejection(error):
            raise rejection from None
        raise


def _profile_from(user: User) -> CurrentUserProfile:
    return CurrentUserProfile(
        id=user.id,
        primary_email=user.email,
        primary_email_verified=user.email_verified,
        display_name=user.display_name,
        selected_team_id=user.selected_team_id,
        requires_totp_mfa=user.mfa_required,
        is_anonymous=user.is_anonymous,
        is_restricted=user.is_restricted,
        signed_up_at_millis=user.signed_up_at,
    )
