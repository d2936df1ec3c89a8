"""People to test with: made in the emulator, with the real signed tokens that it gives them."""

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
    from fastapi_stackauth.emulator import Emulator  # needs an extra, which a TokenFactory alone does without


@dataclass(frozen=True)
class Person:
    """Somebody with an account and a session. The repr shows no secret.

    Attributes:
        id: the user's id.
        kind: what the access token says: a full, a restricted or an anonymous user.
        email: the primary address; None for guests.
        access_token: signed by the emulator.
        refresh_token: of the same session.
        session_id: the session's id.
        team_id: the team that was named when they were made, if any.
        password: theirs, if any.
        totp_secret: in base 32, as authenticator apps take it, if they have a second factor.
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
    """Makes people. Called without arguments: a full user with a verified address.

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
    ) -> Person:
        """Make somebody, and sign them in.

        Args:
            kind: ``normal``, ``restricted`` (by an administrator) or ``anonymous``.
            email: the primary address; one of example.com by default, none for guests.
            email_verified: whether that address is verified. Where the project requires it, one that is not makes the
                user restricted.
            password: to sign in with through the app's own routes; hashing it takes some milliseconds.
            permissions: in the project. Permissions that the project lacks are defined.
            team: a team to be in, by its name or its id; it is made where there is none. Its id is `Person.team_id`.
            team_permissions: in that team, beside what every member may do.
            select_team: whether it is the team they have selected.
            mfa: whether they have a second factor; see `totp`.
            expires_in: seconds until the access token expires; negative for one that has expired.
            claims: claims to write over the token's real ones, for tokens that no server would give.
            **fields: more of the account, as in a seed for the emulator: `id`, `display_name`, `client_metadata`,
                `oauth_providers`, ...

        Raises:
            ValueError: there is no such kind, a field has not the right form, the address is somebody's, or what is
                said of a team comes without one.
        """
        wanted, of_team = _names(permissions), _names(team_permissions)
        if team is None and (select_team or of_team):
            raise ValueError("team_permissions and select_team need a team: name one with team=...")
        kind, secret = TokenKind(kind), secrets.token_bytes(20) if mfa else None
        account = {**fields, **self._account(kind, email, email_verified=email_verified)}
        if password is not None:
            account["password"] = password
        if secret is not None:
            account["totp_secret_base64"] = base64.b64encode(secret).decode()
        self._define(wanted, "project")
        user_id = self._emulator.add_user(**account, permissions=wanted)
        team_id = None if team is None else self.join(user_id, team, permissions=of_team)
        if select_team:
            self._emulator.store.users.update(user_id, {"selected_team_id": team_id})
        somebody = Person(
            id=user_id, kind=kind, email=account.get("primary_email"), access_token="", refresh_token="",
            session_id="", team_id=team_id, password=password,
            totp_secret=base64.b32encode(secret).decode() if secret else None,
        )  # fmt: skip
        return self.sign_in(somebody, expires_in=expires_in, claims=claims)

    def sign_in(
        self, person: Person, *, expires_in: float | None = None, claims: Mapping[str, Any] | None = None
    ) -> Person:
        """The same person with the tokens of a new session, which tell what has changed about them.

        Raises:
            ValueError: they are gone.
        """
        seconds = None if expires_in is None else int(expires_in)
        tokens = self._emulator.issue_token(user_id=person.id, expires_in=seconds, claims=dict(claims or {}))
        told = AccessToken(access_token=tokens["access_token"]).claims
        kind = TokenKind.ANONYMOUS if told["is_anonymous"] else TokenKind.RESTRICTED
        return replace(
            person,
            kind=kind if told["is_restricted"] else TokenKind.NORMAL,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
            session_id=str(told["refresh_token_id"]),
        )

    def join(self, person: Person | str, team: str, *, permissions: Iterable[str] = ()) -> str:
        """Put somebody, or the user of an id, into one more team, and return its id.

        Args:
            person: who.
            team: its name or its id; it is made where there is none.
            permissions: beside what every member may do. Those that the project lacks are defined.

        Raises:
            ValueError: they are in it already, or gone.
        """
        user_id, wanted = person if isinstance(person, str) else person.id, _names(permissions)
        self._define(wanted, "team")
        team_id = self.team(team)
        self._emulator.join(team_id, user_id, dict.fromkeys(["team_member", *wanted]))
        self._forget(user_id, team_id)
        return team_id

    def team(self, name: str) -> str:
        """The id of the team of this name or id; it is made where there is none.

        Raises:
            ValueError: the name is not one.
        """
        for team in self._emulator.store.teams.list_for_project(self._emulator.project_id):
            if name in (team["display_name"], team["id"]):
                return str(team["id"])
        return self._emulator.add_team(name, **({"id": name} if _is_uuid(name) else {}))

    def end_session(self, person: Person) -> None:
        """End somebody's session at the auth server; their access token is good until it expires or is asked about."""
        self._emulator.store.sessions.delete(person.session_id)

    def totp(self, person: Person) -> str:
        """The code that an authenticator app shows now, by the emulator's clock (RFC 6238).

        Raises:
            ValueError: they have no second factor.
        """
        if person.totp_secret is None:
            raise ValueError("this person has no second factor: make them with mfa=True")
        return pyotp.TOTP(person.totp_secret).at(int(self._emulator.clock.now()))

    def _account(self, kind: TokenKind, email: str | None, *, email_verified: bool) -> dict[str, Any]:
        if kind is TokenKind.ANONYMOUS:
            if email is not None:
                raise ValueError("an anonymous user has no e-mail address")
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
        shelf = self._emulator.store.permissions
        for name in permissions:
            if shelf.definition(self._emulator.project_id, name) is None:
                self._emulator.define_permission(name, scope=scope)


def _names(permissions: Iterable[str]) -> list[str]:
    if isinstance(permissions, str):
        raise ValueError(f"permissions are a list: [{permissions!r}]")  # noqa: TRY004 - as for all other mistakes
    return list(permissions)


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4  # the emulator looks closer
