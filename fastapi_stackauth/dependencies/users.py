"""`current_user`, `optional_user` and `Require`: dependencies that return the caller and check requirements.

They are `SecurityBase` objects, so FastAPI adds `security` to OpenAPI automatically, also in included routers. They are
frozen and hashable, so `app.dependency_overrides` finds them by equality.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from fastapi_stackauth.dependencies.api_keys import read_api_key, reject_scopes, require_api_key
from fastapi_stackauth.dependencies.identity import resolve, resolve_api_key
from fastapi_stackauth.dependencies.requirements import REQUIREMENTS, Requirement, RequirementContext, RequirementFields
from fastapi_stackauth.dependencies.team_source import document_source
from fastapi_stackauth.errors import AuthError, ConfigurationError, RequestError, StackAuthError
from fastapi_stackauth.http.installed import Resolution, find_installation, find_owner, find_services
from fastapi_stackauth.http.schemes import OPTIONAL_SCHEME_NAME, Documentation, Secured
from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.models import User
from fastapi_stackauth.services import Services, Stack
from fastapi_stackauth.sessions.context import get_context


@dataclass(frozen=True, kw_only=True, eq=False)
class _UserDependency(Secured):
    """Base class of dependencies that return a user.

    Attributes:
        allow_anonymous: Also accept anonymous users. This implies `allow_restricted`, because they are restricted too.
        allow_restricted: Also accept users that the auth server restricts.
        stack: The `StackAuth` that verifies users. None means the app's default. Compared by identity.
    """

    allow_anonymous: bool = False
    allow_restricted: bool = False
    stack: Stack | None = field(default=None, repr=False)
    allow_api_key = False  # not a field here, but in `Require`

    def resolution(self, connection: HTTPConnection, scopes: SecurityScopes) -> Awaitable[Resolution]:
        """Identify the caller, by an API key too if this is allowed. No requirement is checked yet."""
        if scopes.scopes:  # inline, because a call would cost time on every request
            reject_scopes(scopes)
        services = find_services(connection, self.stack)
        app = connection.scope["app"]
        override = find_override(app, services) if app.dependency_overrides else None
        if self.allow_api_key and override is None and (key := read_api_key(connection)) is not None:
            return resolve_api_key(connection, services, key)
        return resolve(connection, services, override)

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation for its routes: an error for each kind of user that it rejects."""
        return Documentation(errors=self._document_kinds())

    def _document_kinds(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        if self.allow_anonymous:
            return ()
        anonymous: tuple[str, Mapping[str, Any]] = ("anonymous_not_allowed", {})
        if self.allow_restricted:
            return (anonymous,)
        return anonymous, ("restricted_not_allowed", {"restricted_reason": "email_not_verified"})

    def _find_kind_error(self, user: User) -> AuthError | None:
        if user.kind is TokenKind.NORMAL or self.allow_anonymous:
            return None
        if user.kind is TokenKind.ANONYMOUS:
            return AuthError("anonymous_not_allowed")
        if self.allow_restricted:
            return None
        return AuthError("restricted_not_allowed", details={"restricted_reason": user.restricted_reason})


@dataclass(frozen=True, kw_only=True, eq=False)
class Require(RequirementFields, _UserDependency):
    """Return the caller if they meet the requirements. Otherwise the response is 401 or 403.

    By default an anonymous user gets 403 `anonymous_not_allowed`, and a restricted user 403 `restricted_not_allowed`
    with the reason. It is 403 because they are signed in: signing in again would change nothing.

    Attributes:
        verified_email: The primary email address must be verified according to the token; else 403
            `email_not_verified`.
        max_age: The session must have started within this time; else 401 `reauthentication_required` with the challenge
            of RFC 9470. Refreshing the token does not help. The library caches the start, so there is one call per
            session.
        mfa: The user must have enabled two-factor authentication; else 403 `mfa_enrollment_required`.
        permission: The user must have this permission in the project; else 403 `permission_missing`.
        team_permission: The user must have this permission in the team given by `team`; else 403 `permission_missing`.
        team_member: The user must be a member of the team given by this source; else 403 `permission_missing`.
        team: The source of the team's id for `team_permission`: the name of a path parameter, ``query:name``,
            ``header:name``, or ``selected`` for the user's selected team. `team_member` accepts the same forms.
        allow_api_key: Also accept a user's API key, in `x-api-key` or as a bearer, instead of a token. Such a user has
            no session and no claims. Needs a secret key.
        live: Also check at the auth server that the session still exists; else 401 `session_revoked`. This needs one
            call per request. It rejects impersonation sessions, which the auth server does not list for clients
            (contract/endpoints.json, `GET /auth/sessions`).

    Example:
        >>> @app.delete("/account")
        ... async def delete(user: Annotated[User, Depends(Require(live=True, verified_email=True))]): ...
        >>> MayDelete = Require(team_permission="posts:delete", team="team_id")
        >>> @app.delete("/teams/{team_id}/posts/{post_id}")
        ... async def delete_post(user: Annotated[User, Depends(MayDelete)]): ...

    Raises:
        AuthError: 401 or 403; 404 `team_not_found`, depending on the setting `unknown_team`.
        RequestInvalid: 400, if the team's id is missing or given twice.
        VerificationUnavailable: 503, if the library cannot determine whether the token is valid.
        AuthServerMisconfigured: 502, if the auth server rejects this app.
        ConfigurationError: No `StackAuth` is installed, or there are scopes. At construction, if the requirements are
            not valid.
    """

    _use: ClassVar[str] = "`user: CurrentUser`, or `user: Annotated[User, Depends({name}(...))]`"

    def __post_init__(self) -> None:
        self.check_fields()
        super().__post_init__()

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation for its routes: errors for the requirements, and the permissions' names."""
        docs = [requirement.document(self) for requirement in self._requirements]
        errors = (*self._document_kinds(), *((doc.code, doc.details) for doc in docs))
        if self.team_permission or self.team_member:
            errors = (*errors, ("team_not_found", {}))
        return Documentation(
            errors,
            tuple(doc.sentence for doc in docs),
            document_source(self.team) + document_source(self.team_member),
            api_key=self.allow_api_key,
        )

    def reject_api_keys(self) -> None:
        """Raise if API keys are allowed, because a dependency built on this one needs a token.

        Raises:
            ConfigurationError: API keys are allowed.
        """
        if self.allow_api_key:
            raise ConfigurationError("An API key has neither an access token nor a session: leave allow_api_key out.")

    def find_error(self, user: User) -> AuthError | None:
        """Return the error for a verified user, judged only by the token."""
        if error := self._find_kind_error(user):
            return error
        for requirement in self._requirements:
            if requirement.find_error is not None and (error := requirement.find_error(user)):
                return error
        return None

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
        """Return the user, which FastAPI passes to the endpoint."""
        try:
            resolution = await self.resolution(connection, scopes)
            user = resolution.user
            if user is None:
                raise resolution.error or AuthError("authentication_required")
            if self._requirements or user.kind is not TokenKind.NORMAL:
                if error := self.find_error(user):
                    raise error
                await self.check(RequirementContext(connection, resolution, user))
        except RequestError as error:
            find_services(connection, self.stack).events.mark_rejection(error)
            raise
        connection.scope["state"]["user"] = user
        return user

    async def check(self, context: RequirementContext, *, again: bool = False) -> None:
        """Check the requirements that need the auth server; repeatedly, those that may change during a connection.

        Raises:
            AuthError: A requirement is not met.
            AuthServerError: The auth server is unavailable.
        """
        for requirement in self._requirements:
            if requirement.check is not None and (requirement.lasting or not again):
                await requirement.check(self, context, context.resolution.token)

    @cached_property
    def _requirements(self) -> tuple[Requirement, ...]:
        return tuple(requirement for requirement in REQUIREMENTS if getattr(self, requirement.field))


@dataclass(frozen=True, kw_only=True, eq=False)
class IdentifyUser(_UserDependency):
    """Return the caller, or None.

    It is None if there is no credential, if the credential is malformed or no longer valid (401 with
    `optional_invalid="error"`), and for anonymous and restricted users unless they are allowed. Two headers with
    different tokens are 401, a cookie in a request from another site is 403, and a token that cannot be verified is
    503.

    Attributes:
        display_only: Return None instead of raising any error of the caller or the auth server. Use it only to show the
            user, for example in a navigation bar, and never for authorization.

    Raises:
        AuthError: 401 or 403, as above; not with `display_only`.
        VerificationUnavailable: 503, if the library cannot determine whether the token is valid; likewise.
        AuthServerMisconfigured: 502, if the auth server rejects this app; likewise.
        ConfigurationError: No `StackAuth` is installed, scopes are given, or a setting is missing.
    """

    _use: ClassVar[str] = "`user: OptionalUser`, or `user: Annotated[User | None, Depends({name}(...))]`"

    base_name = OPTIONAL_SCHEME_NAME
    display_only: bool = False

    def describe(self) -> Documentation:
        """Return no errors, because the dependency returns None instead of rejecting a kind of user."""
        return Documentation()

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User | None:
        """Return the user or None, which FastAPI passes to the endpoint."""
        try:
            resolution = await self.resolution(connection, scopes)
        except StackAuthError as failure:
            if isinstance(failure, ConfigurationError) or not self.display_only:
                raise
            connection.scope.setdefault("state", {}).setdefault("user", None)
            return None
        if (error := resolution.error) is not None and not self.display_only:
            strict = resolution.services.settings.optional_invalid == "error"
            if strict or error.status_code != 401 or error.code == "credentials_conflict":
                resolution.services.events.mark_rejection(error)
                raise error
        user = resolution.user
        if user is None or self._find_kind_error(user):
            connection.scope["state"].setdefault("user", None)
            return None
        connection.scope["state"]["user"] = user
        return user


@dataclass(frozen=True, kw_only=True, eq=False)
class RequireUserApiKey(_UserDependency):
    """Return the user that the caller's API key belongs to. A request without a key gets 401.

    Other credentials of the request are ignored. Like `Require`, this dependency rejects anonymous and restricted
    users. The user has no session and no claims.

    Raises:
        AuthError: 401 `authentication_required`, `api_key_invalid` or `credentials_conflict`; 403.
        VerificationUnavailable: 503, if the auth server cannot be reached.
        ConfigurationError: No secret key is set.
    """

    _use: ClassVar[str] = "`user: ApiKeyUser`, or `user: Annotated[User, Depends({name}(...))]`"

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation of its routes."""
        return Documentation(self._document_kinds(), ("For the API key of a user.",), api_key_only=True)

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
        """Return the user, which FastAPI passes to the endpoint."""
        reject_scopes(scopes)
        services = find_services(connection, self.stack)
        get_context(connection.scope).resolution = Resolution(
            services, by_api_key=True
        )  # errors are returned by this stack
        try:
            user = (await resolve_api_key(connection, services, require_api_key(connection))).user
            assert user is not None  # noqa: S101 - a key without a user was rejected
            if error := self._find_kind_error(user):
                raise error
        except RequestError as rejection:
            services.events.mark_rejection(rejection)
            raise
        connection.scope["state"]["user"] = user
        return user


def find_override(app: Any, services: Services) -> Any:  # noqa: ANN401 - an app with overrides, and any callable
    """Return a test's override of `current_user`, which also applies to everything based on it."""
    stack = find_owner(app, services)
    override = app.dependency_overrides.get(Require(stack=stack))
    if override is None and find_installation(app).default is stack:
        override = app.dependency_overrides.get(current_user)
    return override


def check_require(dependency: Secured, require: object) -> None:
    """Reject a `require` that is not an instance of `Require`.

    Only a `Require` always returns a user whose token is verified. `optional_user` may return None, and `api_key_user`
    has no token, so dependencies built on them would skip their own checks.

    Raises:
        ConfigurationError: It is something else, such as the class itself.
    """
    if not isinstance(require, Require):
        name = type(dependency).__name__
        given = f"the class {require.__name__}" if isinstance(require, type) else type(require).__name__
        raise ConfigurationError(
            f"{name}(require=...) must be an instance of Require; got {given}. Write {name}(require=Require(...))."
        )


async def resolve_with_user(
    require: Require, connection: HTTPConnection, scopes: SecurityScopes
) -> tuple[User, Resolution]:
    """Return the user after checking the requirement, and the resolution with the token.

    A subclass may return its own user without a credential. Then there is no token for checking a team, so the caller
    counts as signed out. Only a test that overrides `current_user` may supply a user without a token.

    Raises:
        AuthError: The same errors as `require`; also 401 if the request has no credential that was verified.
    """
    user = await require(connection, scopes)
    resolution: Resolution | None = get_context(connection.scope).resolution
    if resolution is None or resolution.user is not user:  # a subclass returned its own user
        resolution = await require.resolution(connection, scopes)
        if resolution.user is None:
            raise resolution.error or AuthError("authentication_required")
    return user, resolution


async def resolve_with_token(
    require: Require, connection: HTTPConnection, scopes: SecurityScopes
) -> tuple[User, Resolution]:
    """Like `resolve_with_user`, but for a dependency that needs the session or sends the token to the auth server.

    Raises:
        AuthError: The same errors as `resolve_with_user`; also 401 if the token is bound to a resource, because such a
            token must not be passed on and the auth server does not accept it.
    """
    user, resolution = await resolve_with_user(require, connection, scopes)
    if resolution.by_resource_token:
        raise AuthError("authentication_required")
    return user, resolution


api_key_user = RequireUserApiKey()
"""The user that the caller's API key belongs to (see `RequireUserApiKey`)."""

current_user = Require()
"""The signed-in user; 401 without one, 403 for anonymous and restricted users (see `Require`)."""

optional_user = IdentifyUser()
"""The signed-in user, or None (see `IdentifyUser`)."""

display_user = IdentifyUser(display_only=True, allow_restricted=True)
"""The signed-in user or None, only for display, as in a navigation bar. It never raises (see `IdentifyUser`)."""
