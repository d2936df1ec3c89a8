"""Users for tests, created in the emulator, with real signed tokens."""

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pyotp

from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.models import AccessToken

if TYPE_CHECKING:
    from fastapi_stackauth.emulator import Emulator  # this needs an extra, but a TokenFactory does not


@dataclass(frozen=True)
class KitUser:
    """A user with an account and a session. The repr hides secrets.

    Attributes:
        id: The user's id.
        kind: The kind of the access token: normal, restricted or anonymous.
        email: The primary address; None for anonymous users.
        access_token: The access token, signed by the emulator.
        refresh_token: The refresh token of the session.
        session_id: The id of the session.
        team_id: The team of `team=`, if any.
        password: The password, if any.
        totp_secret: The secret in base 32, as for authenticator apps, if `mfa=True`.
    """

    id: str
    kind: TokenKind
    email: str | None
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    session_id: str
    team_id: str | None = None
    password: str | None = field(default=None, repr=False)
    totp_secret: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The access token as a header (RFC 6750 §2.1), for any HTTP or WebSocket client."""
        return {"authorization": f"Bearer {self.access_token}"}


class Users:
    """Creates users. Without arguments, a call creates a full user with a verified address.

    Example:
        >>> ada = stack_user(team="Red", team_permissions=["posts:delete"])
        >>> client.delete(f"/teams/{ada.team_id}/posts/1", headers=ada.headers)
    """

    def __init__(self, emulator: "Emulator", forget: Callable[[str, str], None] = lambda *_: None) -> None:
        self._emulator = emulator
        self._forget = forget

    def __call__(
        self,
        *,
        kind: TokenKind | str = TokenKind.NORMAL,
        email: str | None = None,
        email_verified: bool = True,
        password: str | None = None,
        permissions: Iterable[str] = (),
        team: str | None = None,
        team_permissions: Iterable[str] = (),
        select_team: bool = False,
        mfa: bool = False,
        expires_in: float | None = None,
        claims: Mapping[str, Any] | None = None,
        **fields: Any,  # noqa: ANN401 - as a seed's user
    ) -> KitUser:
        """Create a user and sign them in.

        Args:
            kind: ``normal``, ``restricted`` (by an administrator) or ``anonymous``.
            email: The primary address. By default, one at example.com, and none for anonymous users.
            email_verified: Whether the address is verified. If it is not but the project requires it, the user is
                restricted.
            password: A password for signing in with the app's own routes. Hashing it takes some milliseconds.
            permissions: Permissions in the project, which are defined if necessary.
            team: The name or id of a team to join, which is created if necessary. Its id is `KitUser.team_id`.
            team_permissions: Permissions in that team, in addition to those of every member.
            select_team: Whether the user has selected that team.
            mfa: Whether two-factor authentication is enabled; see `totp`.
            expires_in: Seconds until the access token expires. An app rejects it if this is less than minus `leeway`
                (-5).
            claims: Claims that replace the token's real ones, for tokens that no server would issue.
            **fields: Additional fields of the account, as in a seed for the emulator: `id`, `display_name`,
                `client_metadata`, `oauth_providers`, ...

        Raises:
            ValueError: The kind is unknown, a field is not valid, another user has the address, or there is
                `team_permissions` or `select_team` without `team`.
        """
        project_names, team_names = _names(permissions), _names(team_permissions)
        if team is None and (select_team or team_names):
            raise ValueError("team_permissions and select_team need a team: name one with team=...")
        kind, secret = TokenKind(kind), secrets.token_bytes(20) if mfa else None
        account = {**fields, **self._account(kind, email, email_verified=email_verified)}
        if password is not None:
            account["password"] = password
        if secret is not None:
            account["totp_secret_base64"] = base64.b64encode(secret).decode()
        self._define(project_names, "project")
        user_id = self._emulator.add_user(**account, permissions=project_names)
        team_id = None if team is None else self.join(user_id, team, permissions=team_names)
        if select_team:
            self._emulator.store.users.update(user_id, {"selected_team_id": team_id})
        user = KitUser(
            id=user_id, kind=kind, email=account.get("primary_email"), access_token="", refresh_token="",
            session_id="", team_id=team_id, password=password,
            totp_secret=base64.b32encode(secret).decode() if secret else None,
        )  # fmt: skip
        return self.sign_in(user, expires_in=expires_in, claims=claims)

    def sign_in(
        self, user: KitUser, *, expires_in: float | None = None, claims: Mapping[str, Any] | None = None
    ) -> KitUser:
        """Return the user with the tokens of a new session, which have current claims.

        Raises:
            ValueError: The user was deleted.
        """
        seconds = None if expires_in is None else int(expires_in)
        tokens = self._emulator.issue_token(user_id=user.id, expires_in=seconds, claims=dict(claims or {}))
        access_claims = AccessToken(access_token=tokens["access_token"]).claims
        kind = TokenKind.ANONYMOUS if access_claims["is_anonymous"] else TokenKind.RESTRICTED
        return replace(
            user,
            kind=kind if access_claims["is_restricted"] else TokenKind.NORMAL,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
            session_id=str(access_claims["refresh_token_id"]),
        )

    def join(self, user: KitUser | str, team: str, *, permissions: Iterable[str] = ()) -> str:
        """Add a user to a team, and return the team's id.

        Args:
            user: The user, or their id.
            team: The name or id of the team, which is created if necessary.
            permissions: Permissions in the team, in addition to those of every member. They are defined if necessary.

        Raises:
            ValueError: The user is a member already, or was deleted.
        """
        user_id, names = user if isinstance(user, str) else user.id, _names(permissions)
        self._define(names, "team")
        team_id = self.team(team)
        self._emulator.join(team_id, user_id, dict.fromkeys(["team_member", *names]))
        self._forget(user_id, team_id)
        return team_id

    def team(self, name: str) -> str:
        """Return the id of the team with this name or id, which is created if necessary.

        Raises:
            ValueError: The name is empty or too long.
        """
        for team in self._emulator.store.teams.list_for_project(self._emulator.project_id):
            if name in (team["display_name"], team["id"]):
                return str(team["id"])
        return self._emulator.add_team(name, **({"id": name} if _is_uuid(name) else {}))

    def create_api_key(
        self, user: KitUser | str | None = None, *, team: str | None = None, expires_in: float | None = None
    ) -> str:
        """Create an API key for a user or a team, and return it, for the header `x-api-key`.

        Args:
            user: The user, or their id.
            team: The name or id of a team, instead of a user. It is created if necessary.
            expires_in: Seconds until the key expires, by the emulator's clock. Negative for an expired key.

        Raises:
            ValueError: There is not exactly one owner, or the user was deleted.
        """
        if (user is None) == (team is None):
            raise ValueError("an API key has one owner: pass a user, or team=...")
        owner_id = self.team(team) if team is not None else user.id if isinstance(user, KitUser) else str(user)
        return self._emulator.add_api_key(owner_id, kind="user" if team is None else "team", expires_in=expires_in)

    def end_session(self, user: KitUser) -> None:
        """End the user's session at the auth server. The access token stays valid until it expires."""
        self._emulator.store.sessions.delete(user.session_id)

    def totp(self, user: KitUser) -> str:
        """Return the code that an authenticator app shows now, by the emulator's clock (RFC 6238).

        Raises:
            ValueError: The user has not enabled two-factor authentication.
        """
        if user.totp_secret is None:
            raise ValueError("this user has no TOTP secret: create the user with mfa=True")
        return pyotp.TOTP(user.totp_secret).at(int(self._emulator.clock.now()))

    def _account(self, kind: TokenKind, email: str | None, *, email_verified: bool) -> dict[str, Any]:
        if kind is TokenKind.ANONYMOUS:
            if email is not None:
                raise ValueError("an anonymous user has no email address")
            return {"is_anonymous": True}
        return {
            "primary_email": self._new_address() if email is None else email,
            "primary_email_verified": email_verified,
            "restricted_by_admin": kind is TokenKind.RESTRICTED,
        }

    def _new_address(self) -> str:
        users, project_id = self._emulator.store.users, self._emulator.project_id
        addresses = (f"user{number}@example.com" for number in count(1))
        return next(address for address in addresses if users.by_auth_email(project_id, address) is None)

    def _define(self, permissions: Iterable[str], scope: str) -> None:
        table = self._emulator.store.permissions
        for name in permissions:
            if table.definition(self._emulator.project_id, name) is None:
                self._emulator.define_permission(name, scope=scope)


def _names(permissions: Iterable[str]) -> list[str]:
    if isinstance(permissions, str):
        raise ValueError(f"permissions are a list: [{permissions!r}]")  # noqa: TRY004 - the same exception as for all other mistakes
    return list(permissions)


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4  # the emulator checks the rest
