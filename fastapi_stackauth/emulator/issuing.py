"""Issue tokens for tests: for any kind of user and with any expiry.

Law: an issued token is one that the server itself could have issued at another time or to another user.
"""

from typing import Any

from .server import Server
from .store.database import Row
from .store.projects import Project

KINDS = ("normal", "restricted", "anonymous")


def make_user(server: Server, project: Project, kind: str, email: str | None = None) -> Row:
    """Create a user with a verified address, one that an administrator has restricted, or an anonymous one."""
    if kind not in KINDS:
        raise ValueError(f"the kind of user must be one of {', '.join(KINDS)}")
    store, columns = server.store, {"restricted_by_admin": int(kind == "restricted")}
    with store.transaction():
        user = store.users.create(project.id, {**columns, "is_anonymous": int(kind == "anonymous")})
        if kind != "anonymous":
            address = email or f"user-{server.chance.code(12)}@example.com"
            flags = {"is_primary": True, "is_verified": True, "used_for_auth": True}
            store.channels.create(user, address, flags)
    return user


def issue(
    server: Server,
    project: Project,
    *,
    user_id: str | None = None,
    kind: str = "normal",
    expires_in: int | None = None,
    claims: dict[str, Any] | None = None,
) -> dict[str, str]:
    """Return tokens of a new session.

    Args:
        server: The server that signs.
        project: The project of the user.
        user_id: The id of the user. None creates a user of `kind`.
        kind: `normal`, `restricted` or `anonymous`. Ignored for an existing user.
        expires_in: Seconds until the access token expires. Negative for an expired token.
        claims: Claims that replace the real ones. Issuer and audience depend on the kind.

    Raises:
        ValueError: There is no such user or kind, or the audience is not a string, so that there is no key for it.
    """
    store = server.store
    user = store.users.get(project.id, user_id) if user_id else make_user(server, project, kind)
    if user is None:
        raise ValueError("there is no such user")
    if type((claims or {}).get("aud", "")) is not str:
        raise ValueError("the claim aud must be a string")
    session = store.sessions.create(user)
    real = server.tokens.claims(project, user, session["id"])
    if expires_in is not None:
        expiry = int(server.clock.now()) + expires_in
        real |= {"exp": expiry, "iat": min(real["iat"], expiry - server.tokens.lifetime)}
    access_token = server.tokens.sign({**real, **(claims or {})})
    return {"user_id": user["id"], "access_token": access_token, "refresh_token": session["refresh_token"]}
