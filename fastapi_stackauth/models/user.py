"""The verified user: the claims of an access token as an immutable model."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.models.base import TrustedModel, freeze


class User(TrustedModel, BaseModel):
    """The signed-in user, from the claims of the access token (contract/tokens.md §1).

    The data is from the time when the token was issued, so it is at most as old as the token's lifetime (10 minutes by
    default). For current data, use `current_profile`. The model is deeply immutable, so you may share and hash it.
    """

    model_config = ConfigDict(frozen=True)

    _use: ClassVar[str] = "`{name}: CurrentUser`, or OptionalUser if callers may be signed out"

    id: str = Field(description="The user's id (`sub`).", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])
    email: str | None = Field(default=None, description="The primary email address.", examples=["ada@example.com"])
    email_verified: bool = Field(default=False, description="Whether the address is verified.", examples=[True])
    display_name: str | None = Field(default=None, description="The display name.", examples=["Ada Lovelace"])
    kind: TokenKind = Field(
        default=TokenKind.NORMAL,
        description="The kind of user: full, restricted or anonymous.",
        examples=["normal"],
    )
    restricted_reason: str | None = Field(
        default=None,
        description="Why the user is restricted: `email_not_verified`, `restricted_by_administrator`, `anonymous`, or "
        "what later servers add.",
        examples=[None],
    )
    session_id: str | None = Field(
        default=None, description="The session's id; not a secret.", examples=["d2275522-0e8a-4083-b64d-336f0f45a404"]
    )
    selected_team_id: str | None = Field(
        default=None, description="The id of the team that the user last selected, if any.", examples=[None]
    )
    mfa_required: bool = Field(
        default=False, description="Whether signing in requires a second factor.", examples=[False]
    )
    signed_up_at: datetime | None = Field(
        default=None, description="When the account was created.", examples=["2026-11-05T09:12:29Z"]
    )
    issued_at: datetime | None = Field(
        default=None, description="When the token was issued.", examples=["2026-11-05T09:12:29Z"]
    )
    expires_at: datetime | None = Field(
        default=None, description="When the token expires.", examples=["2026-11-05T09:22:29Z"]
    )
    claims: Annotated[Mapping[str, Any], AfterValidator(freeze)] = Field(
        default_factory=lambda: freeze({}),
        description="All claims of the token, unmodified.",
        examples=[{"sub": "f7383500-3cc7-45ea-b3c1-50d16bdbdf35", "role": "authenticated"}],
    )

    @property
    def is_anonymous(self) -> bool:
        """Whether the user is anonymous. An anonymous user may sign up later and keeps the same id."""
        return self.kind is TokenKind.ANONYMOUS

    @property
    def is_restricted(self) -> bool:
        """Whether the auth server restricts this user; also true of every anonymous user."""
        return self.kind is not TokenKind.NORMAL

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any], kind: TokenKind) -> "User":
        """Return the user for verified claims.

        Optional claims that are missing or have an unexpected type are None; `claims` has them unchanged.
        """
        get = claims.get
        fields = {
            "id": claims["sub"],
            "email": _text(get("email", get("primaryEmail"))),
            "email_verified": get("email_verified", get("primaryEmailVerified")) is True,
            "display_name": _text(get("name", get("displayName"))),
            "kind": kind,
            "restricted_reason": _restricted_reason(get("restricted_reason"), kind),
            "session_id": _text(get("refresh_token_id", get("refreshTokenId"))),
            "selected_team_id": _text(get("selected_team_id", get("selectedTeamId"))),
            "mfa_required": get("requires_totp_mfa") is True,
            "signed_up_at": _time(get("signed_up_at")),
            "issued_at": _time(claims["iat"]),
            "expires_at": _time(claims["exp"]),
            "claims": freeze(claims),
        }
        return _construct(fields) if cls is User else cls.model_construct(_ALL_FIELDS, **fields)


# This is the only place that sets pydantic's private attributes. `model_construct` looks up the aliases and defaults of
# each field, which takes 42,000 instructions more (3.4 %) in the benchmark "token never seen".
def _construct(fields: dict[str, Any]) -> User:
    """Create a model as `model_construct` would if all fields are given."""
    user = User.__new__(User)
    object.__setattr__(user, "__dict__", fields)
    object.__setattr__(user, "__pydantic_fields_set__", _ALL_FIELDS)
    object.__setattr__(user, "__pydantic_extra__", None)
    object.__setattr__(user, "__pydantic_private__", None)
    return user


_ALL_FIELDS = set(User.model_fields)  # all users share one set: a set for each would take a fifth of a user's memory


def user_with_claims(user: User, claims: Mapping[str, Any]) -> User:
    """Return a copy of a user with the claims and times of a token that contains little more than the user's id."""
    times = {"issued_at": _time(claims["iat"]), "expires_at": _time(claims["exp"])}
    return user.model_copy(update={**times, "claims": freeze(claims)})


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _restricted_reason(reason: object, kind: TokenKind) -> str | None:
    if kind is TokenKind.NORMAL:
        return None
    named = _text(reason.get("type")) if isinstance(reason, Mapping) else None
    return named or ("anonymous" if kind is TokenKind.ANONYMOUS else None)
