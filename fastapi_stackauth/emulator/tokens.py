"""Access tokens and their claims (contract/tokens.md section 1).

Law: issuer, audience and the claims for the kind of user always agree.
"""

from typing import Any
from urllib.parse import urlsplit

from . import keys
from .clock import Clock
from .store import Store
from .store.database import Row
from .store.projects import Project

LIFETIME_SECONDS = 600


def restricted_reason(project: Project, user: Row, primary: Row | None) -> dict[str, str] | None:
    """Return the first reason why a user is restricted, or None."""
    if user["is_anonymous"]:
        return {"type": "anonymous"}
    if project.config["require_email_verification"] and not (primary and primary["is_verified"]):
        return {"type": "email_not_verified"}
    if user["restricted_by_admin"]:
        return {"type": "restricted_by_administrator"}
    return None


def find_kind(claims: dict[str, Any]) -> str:
    """Return the kind of user for claims."""
    if claims.get("is_anonymous"):
        return "anonymous"
    return "restricted" if claims.get("is_restricted") else "normal"


class Tokens:
    """Creates access tokens.

    Args:
        store: Contains users and the server's secret.
        clock: The clock for the time of issue.
        public_url: The URL under which apps reach this server. Issuers start with its origin.
        lifetime: Seconds until a token expires.
    """

    def __init__(self, store: Store, clock: Clock, public_url: str, lifetime: int = LIFETIME_SECONDS) -> None:
        self._store, self._clock = store, clock
        parts = urlsplit(public_url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.lifetime = lifetime

    def binding(self, claims: dict[str, Any]) -> tuple[str, str]:
        """Return the required issuer and audience for claims."""
        kind, project_id = find_kind(claims), claims.get("project_id")
        return f"{self.origin}/api/v1/{keys.ISSUERS[kind]}/{project_id}", f"{project_id}{keys.SUFFIXES[kind]}"

    def claims(self, project: Project, user: Row, session_id: str) -> dict[str, Any]:
        """Return the claims for a token that is issued now."""
        primary = self._store.channels.primary(user["id"])
        reason = restricted_reason(project, user, primary)
        about: dict[str, Any] = {
            "sub": user["id"],
            "project_id": project.id,
            "branch_id": "main",
            "refresh_token_id": session_id,
            "role": "authenticated",
            "name": user["display_name"],
            "email": primary["value"] if primary else None,
            "email_verified": bool(primary and primary["is_verified"]),
            "selected_team_id": user["selected_team_id"],
            "signed_up_at": user["signed_up_at"] // 1000,
            "is_anonymous": bool(user["is_anonymous"]),
            "is_restricted": reason is not None,
            "restricted_reason": reason,
            "requires_totp_mfa": bool(user["requires_totp_mfa"]),
        }
        issuer, audience = self.binding(about)
        now = int(self._clock.now())
        return {**about, "iss": issuer, "iat": now, "aud": audience, "exp": now + self.lifetime}

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a signed token with these claims."""
        return keys.sign(self._store.projects.server_secret(), claims)

    def issue(self, project: Project, user: Row, session_id: str) -> str:
        """Return an access token for a user's session."""
        return self.sign(self.claims(project, user, session_id))
