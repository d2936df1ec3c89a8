"""`Grants`: the permissions that members of a team may grant, and the permission they need for this."""

from collections.abc import Collection
from dataclasses import dataclass

from fastapi_stackauth.dependencies.requirements import PERMISSION_ID
from fastapi_stackauth.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Grants:
    """The team permissions that members may grant and revoke, and the permission they need for this.

    The auth server lets only servers grant permissions, so these routes use the secret key. Before each change, they
    check at the auth server that the caller has `by` and the permission itself in this team, and that the other user is
    a member.

    Attributes:
        by: The permission that a member needs in the team to grant others. These routes cannot revoke it from the last
            member who has it.
        grantable: The permissions that can be granted and revoked. Members can only grant permissions that they have.

    Example:
        >>> Grants(by="team_admin", grantable={"notes:delete"})
        Grants(by='team_admin', grantable=frozenset({'notes:delete'}))

    Raises:
        ConfigurationError: A permission id is not valid, or `grantable` is empty.
    """

    by: str
    grantable: Collection[str]

    def __post_init__(self) -> None:
        if isinstance(self.grantable, str) or not isinstance(self.grantable, Collection) or not self.grantable:
            raise ConfigurationError(
                f"grantable must be a set of permission ids; got {self.grantable!r}. "
                'Write Grants(by="team_admin", grantable={"notes:delete"}).'
            )
        for permission in (self.by, *self.grantable):
            if not isinstance(permission, str) or not PERMISSION_ID.fullmatch(permission):
                raise ConfigurationError(
                    f"Grants: {permission!r} is not a valid permission id. Use lowercase letters, digits, : and _ only."
                )
        object.__setattr__(self, "grantable", frozenset(self.grantable))
