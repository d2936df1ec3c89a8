"""Invitations to teams (contract/endpoints.json, area `team-invitations`)."""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource
from fastapi_stackauth.models import ApiModel, InvitedTo, TeamInvitation

_ALL = "/team-invitations"
_ONE = "/team-invitations/{invitation_id}"


class SentInvitation(ApiModel):
    """An invitation that was sent; only the email contains its code."""

    success: bool = True
    id: str


class Accepted(ApiModel):
    """The empty response to an accepted invitation."""


class TeamInvitationsApi(Resource):
    """Invitations to teams.

    Methods may raise SignInRequired and TeamNotFound. If a code is not valid, they raise VerificationCodeError. If the
    user is restricted, they raise `RESTRICTED_USER_NOT_ALLOWED` or `TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED`.
    """

    async def send(self, team_id: str, *, email: str, callback_url: str) -> SentInvitation:
        """Send an invitation by email.

        Args:
            team_id: The team to join.
            email: The address.
            callback_url: The URL that the link in the email opens. The project must trust its domain.

        Raises:
            PermissionMissing: `$invite_members`.
            RedirectUrlNotAllowed: The project does not trust the URL.
        """
        body = {"team_id": team_id, "email": email, "callback_url": callback_url}
        return await self._client.fetch(ApiRequest("POST", f"{_ALL}/send-code", json=body), SentInvitation)

    async def list(self, team_id: str) -> tuple[TeamInvitation, ...]:
        """List a team's open invitations.

        Raises:
            PermissionMissing: `$invite_members`.
        """
        return await self._list(ApiRequest("GET", _ALL, params={"team_id": team_id}), Page[TeamInvitation])

    async def list_for_user(self, user_id: str = ME) -> tuple[TeamInvitation, ...]:
        """List the open invitations to a user's verified addresses."""
        return await self._list(ApiRequest("GET", _ALL, params={"user_id": user_id}), Page[TeamInvitation])

    async def revoke(self, invitation_id: str, *, team_id: str) -> None:
        """Revoke an invitation.

        Raises:
            PermissionMissing: The caller does not have the required permission.
            AuthServerUnavailable: If `response_status` is 500, there is no such invitation (corrections.md B).
        """
        await self._client.fetch(ApiRequest("DELETE", _ONE, (invitation_id,), params={"team_id": team_id}), Done)

    async def accept(self, *, code: str) -> None:
        """Join the team with the code from the email. Older servers do not compare the email addresses."""
        await self._client.fetch(ApiRequest("POST", f"{_ALL}/accept", json={"code": code}), Accepted)

    async def details(self, *, code: str) -> InvitedTo:
        """Return the team that an invitation code belongs to."""
        return await self._client.fetch(ApiRequest("POST", f"{_ALL}/accept/details", json={"code": code}), InvitedTo)

    async def check_code(self, *, code: str) -> None:
        """Check a code without using it up. This counts as an attempt."""
        await self._post(f"{_ALL}/accept/check-code", Done, code=code)

    async def accept_by_id(self, invitation_id: str, user_id: str = ME) -> None:
        """Join a team by accepting an invitation from `list_for_user`.

        Raises:
            KnownApiError: `VERIFICATION_CODE_NOT_FOUND`: there is no such invitation to one of the user's addresses.
        """
        path, params = f"{_ONE}/accept", {"user_id": user_id}
        await self._client.fetch(ApiRequest("POST", path, (invitation_id,), params=params, json={}), Accepted)
