"""`current_user`, `optional_user` and `Require`: data that says what is demanded, and one small check for each demand.

They are `SecurityBase` objects, so FastAPI writes `security` into OpenAPI by itself, also through included routers; and
frozen and hashable, so `app.dependency_overrides` finds them by equality.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from fastapi_stackauth.dependencies.api_keys import read_api_key, refuse_scopes, required_api_key
from fastapi_stackauth.dependencies.demands import DEMANDS, PERMISSION_ID, Asked, Demand
from fastapi_stackauth.dependencies.identity import resolve, resolve_api_key
from fastapi_stackauth.dependencies.team_source import check_source, documented_source
from fastapi_stackauth.errors import AuthError, ConfigurationError
from fastapi_stackauth.http.installed import Resolution, find_services, installation_of, owner_of
from fastapi_stackauth.http.schemes import OPTIONAL_SCHEME_NAME, Documented, Secured
from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.models import User
from fastapi_stackauth.services import Services, Stack
from fastapi_stackauth.sessions.context import context_of


@dataclass(frozen=True, kw_only=True, eq=False)
class _Demand(Secured):
    """What the dependencies on a user share.

    Attributes:
        allow_anonymous: guests may pass as well; implies `allow_restricted`, since guests are restricted too.
        allow_restricted: users that the auth server restricts may pass as well.
        stack: whose users; the app's default `StackAuth` where None. Compared by identity.
    """

    allow_anonymous: bool = False
    allow_restricted: bool = False
    stack: Stack | None = field(default=None, repr=False)
    allow_api_key = False  # no field: `Require` makes it one

    def resolution(self, connection: HTTPConnection, scopes: SecurityScopes) -> Awaitable[Resolution]:
        """Who is calling, before any demand is checked; be it with an API key where that is allowed."""
        if scopes.scopes:  # asked here: a call would cost on every request
            refuse_scopes(scopes)
        services = find_services(connection, self.stack)
        override = _override(connection, services) if connection.scope["app"].dependency_overrides else None
        if self.allow_api_key and override is None and (key := read_api_key(connection)) is not None:
            return resolve_api_key(connection, services, key)
        return resolve(connection, services, override)

    def documented(self) -> Documented:
        """What its routes say in OpenAPI: who is refused for what they are."""
        return Documented(refusals=self._kind_refusals())

    def _kind_refusals(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        refusals: list[tuple[str, Mapping[str, Any]]] = []
        if not self.allow_anonymous:
            refusals.append(("anonymous_not_allowed", {}))
        if not self.allow_anonymous and not self.allow_restricted:
            refusals.append(("restricted_not_allowed", {"restricted_reason": "email_not_verified"}))
        return tuple(refusals)

    def _kind_refusal(self, user: User) -> AuthError | None:
        if user.kind is TokenKind.NORMAL or self.allow_anonymous:
            return None
        if user.kind is TokenKind.ANONYMOUS:
            return AuthError("anonymous_not_allowed")
        if self.allow_restricted:
            return None
        return AuthError("restricted_not_allowed", details={"restricted_reason": user.restricted_reason})


@dataclass(frozen=True, kw_only=True, eq=False)
class Require(_Demand):
    """The user who is calling, if they are what is demanded; 401 or 403 otherwise.

    By default full users alone: a guest gets 403 `anonymous_not_allowed`, a restricted user 403
    `restricted_not_allowed` with the reason. 403, since they are signed in: signing in again would change nothing.

    Attributes:
        verified_email: the token must say that the primary e-mail address is verified; else 403 `email_not_verified`.
        signed_in_within: the session must have begun no longer than this ago; else 401 `reauthentication_required` with
            RFC 9470's challenge. Renewed tokens do not count. One call for each session, which is remembered.
        mfa: the user must have a second factor switched on; else 403 `mfa_enrolment_required`.
        permission: the user must have this permission in the project; else 403 `permission_missing`, which names it.
        team_permission: the user must have this permission in the team that `team` names; else the same.
        team_member: the user must be in the team that this names; else the same.
        team: where the id of the team of `team_permission` stands: the name of a path parameter, ``query:name``,
            ``header:name``, or ``selected`` for the user's selected team. `team_member` says it in the same way.
        allow_api_key: an API key of the user's, in `x-api-key` or as a bearer, does as well as a token. The user then
            has no session and no claims. Needs a secret key.
        live: also ask the auth server whether the session still exists; else 401 `session_revoked`. One call for each
            request. Impersonation sessions are not listed to clients, and so refused (contract/endpoints.json,
            `GET /auth/sessions`).

    Example:
        >>> @app.delete("/account")
        ... async def delete(user: Annotated[User, Depends(Require(live=True, verified_email=True))]): ...
        >>> MayDelete = Require(team_permission="posts:delete", team="team_id")
        >>> @app.delete("/teams/{team_id}/posts/{post_id}")
        ... async def delete_post(user: Annotated[User, Depends(MayDelete)]): ...

    Raises:
        AuthError: 401 or 403; 404 `team_not_found` if the setting `unknown_team` says so.
        RequestInvalid: 400, where the team's id is missing or given twice.
        VerificationUnavailable: 503, where the token can be neither accepted nor refused.
        AuthServerMisconfigured: 502, where the auth server refuses this app.
        ConfigurationError: where no `StackAuth` is installed, or scopes are given; at construction, where the demands
            contradict each other or cannot be read.
    """

    _use: ClassVar[str] = "`user: CurrentUser`, or `user: Annotated[User, Depends({name}(...))]`"

    verified_email: bool = False
    mfa: bool = False
    live: bool = False
    signed_in_within: timedelta | None = None
    permission: str | None = None
    team_permission: str | None = None
    team_member: str | None = None
    team: str | None = None
    allow_api_key: bool = False

    def __post_init__(self) -> None:
        for name in ("permission", "team_permission"):
            wanted = getattr(self, name)
            if wanted is not None and not (isinstance(wanted, str) and PERMISSION_ID.fullmatch(wanted)):
                raise ConfigurationError(f"{name}={wanted!r} is no id of a permission: small letters, digits, : and _.")
        for source in (self.team, self.team_member):
            if source is not None:
                check_source(source)
        super().__post_init__()
        self._check_age()
        if self.allow_api_key and (self.live or self.signed_in_within is not None):
            raise ConfigurationError("allow_api_key goes with neither live nor signed_in_within: keys have no session.")
        if (self.team_permission is None) != (self.team is None):
            raise ConfigurationError(
                'team_permission and team go together: Require(team_permission="posts:delete", team="team_id").'
            )

    def _check_age(self) -> None:
        age: object = self.signed_in_within
        if age is not None and not (isinstance(age, timedelta) and age > timedelta(0)):
            raise ConfigurationError(
                f"signed_in_within must be a timedelta longer than zero; got {age!r}. "
                "Write Require(signed_in_within=timedelta(minutes=10))."
            )

    def documented(self) -> Documented:
        """What its routes say in OpenAPI: a code for each demand, and the permissions by name."""
        found = [demand.documented(self) for demand in DEMANDS if demand.made(self)]
        refusals = tuple(refusal for refusal, _ in found)
        if self.team_permission or self.team_member:
            refusals = (*refusals, ("team_not_found", {}))
        return Documented(
            self._kind_refusals() + refusals,
            tuple(sentence for _, sentence in found),
            documented_source(self.team) + documented_source(self.team_member),
            api_key=self.allow_api_key,
        )

    def refuse_api_keys(self) -> None:
        """Say that what is built on this cannot do with an API key.

        Raises:
            ConfigurationError: where one is allowed.
        """
        if self.allow_api_key:
            raise ConfigurationError("An API key has neither an access token nor a session: leave allow_api_key out.")

    def refusal_of(self, user: User) -> AuthError | None:
        """What stands against a verified user, as far as the token alone tells."""
        if refusal := self._kind_refusal(user):
            return refusal
        for demand in self._demands:
            if demand.refusal is not None and (refusal := demand.refusal(user)):
                return refusal
        return None

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
        """The user, for FastAPI to give to the endpoint."""
        resolution = await self.resolution(connection, scopes)
        user = resolution.user
        if user is None:
            raise resolution.error or AuthError("authentication_required")
        if self._demands or user.kind is not TokenKind.NORMAL:
            await self._check(Asked(connection, resolution, user))
        connection.scope["state"]["user"] = user
        return user

    async def _check(self, asked: Asked) -> None:
        if refusal := self.refusal_of(asked.user):
            raise refusal
        for demand in self._demands:
            if demand.check is not None:
                await demand.check(self, asked)

    async def check_again(self, asked: Asked) -> None:
        """Permissions and membership, which may be taken away while a connection lasts.

        Raises:
            AuthError: 403, one has been.
            AuthServerError: that cannot be said now.
        """
        for demand in self._demands:
            if demand.lasting and demand.check is not None:
                await demand.check(self, asked)

    @cached_property
    def _demands(self) -> tuple[Demand, ...]:
        return tuple(demand for demand in DEMANDS if demand.made(self))


@dataclass(frozen=True, kw_only=True, eq=False)
class IdentifyUser(_Demand):
    """The user who is calling, or None.

    None where there is no credential, where it is no longer valid or malformed (401 with
    `optional_invalid="error"`), and for guests and restricted users unless they are allowed. Two contradicting
    headers are 401, a cookie that another site made travel is 403, and what cannot be verified is 503: none of
    them is "nobody".
    """

    _use: ClassVar[str] = "`user: OptionalUser`, or `user: Annotated[User | None, Depends({name}(...))]`"

    base_name = OPTIONAL_SCHEME_NAME

    def documented(self) -> Documented:
        """Nobody is refused for what they are: who is not allowed counts as nobody."""
        return Documented()

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User | None:
        """The user or None, for FastAPI to give to the endpoint."""
        resolution = await self.resolution(connection, scopes)
        if resolution.error is not None:
            _raise_if_not_nobody(resolution.error, resolution.services)
        user = resolution.user
        if user is None or self._kind_refusal(user):
            connection.scope["state"].setdefault("user", None)
            return None
        connection.scope["state"]["user"] = user
        return user


@dataclass(frozen=True, kw_only=True, eq=False)
class RequireUserApiKey(_Demand):
    """The user that the caller's API key belongs to; 401 without a key, whatever else the request brings.

    By default full users alone, as with `Require`. The user has no session and no claims.

    Raises:
        AuthError: 401 `authentication_required`, `api_key_invalid` or `credentials_conflict`; 403.
        VerificationUnavailable: 503, where the auth server cannot be asked.
        ConfigurationError: where no secret key is set.
    """

    _use: ClassVar[str] = "`user: ApiKeyUser`, or `user: Annotated[User, Depends({name}(...))]`"

    def documented(self) -> Documented:
        """What its routes say in OpenAPI."""
        return Documented(self._kind_refusals(), ("For the API key of a user.",), api_key_only=True)

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
        """The user, for FastAPI to give to the endpoint."""
        refuse_scopes(scopes)
        services = find_services(connection, self.stack)
        context_of(connection.scope).resolution = Resolution(services, by_api_key=True)  # whose errors these are
        user = (await resolve_api_key(connection, services, required_api_key(connection))).user
        assert user is not None  # noqa: S101 - a key without a user is refused
        if refusal := self._kind_refusal(user):
            raise refusal
        connection.scope["state"]["user"] = user
        return user


def _raise_if_not_nobody(refusal: AuthError, services: Services) -> None:
    strict = services.settings.optional_invalid == "error"
    if strict or refusal.status_code != 401 or refusal.code == "credentials_conflict":
        raise refusal


def _override(connection: HTTPConnection, services: Services) -> Any:  # noqa: ANN401 - any callable
    """What the app's tests put in place of `current_user`: it then speaks for everything derived from it."""
    app = connection.scope["app"]
    stack = owner_of(app, services)
    override = app.dependency_overrides.get(Require(stack=stack))
    if override is None and installation_of(app).default is stack:
        override = app.dependency_overrides.get(current_user)
    return override


def check_require(dependency: Secured, require: object) -> None:
    """Reject what is no instance of `Require` as the `require` of another dependency.

    Only a `Require` always returns a user whose token is verified. `optional_user` may return None, and `api_key_user`
    has no token, so what rests on them would skip its own check.

    Raises:
        ConfigurationError: it is something else, such as the class itself.
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
    """Return the user who meets a requirement, and the resolution that what rests on it goes on with.

    A subclass may return a user of its own without a credential. Then there is no token to check a team with, so the
    caller counts as signed out. Only a test that overrides `current_user` puts a user in place without a token.

    Raises:
        AuthError: as `require` does; 401 if the request has no credential that was verified.
    """
    user = await require(connection, scopes)
    resolution = await require.resolution(connection, scopes)
    if resolution.user is None:
        raise resolution.error or AuthError("authentication_required")
    return user, resolution


api_key_user = RequireUserApiKey()
"""The user that the caller's API key belongs to (see `RequireUserApiKey`)."""

current_user = Require()
"""The signed-in user; 401 without one. Guests and restricted users get 403 (see `Require`)."""

optional_user = IdentifyUser()
"""The signed-in user, or None (see `IdentifyUser`)."""
