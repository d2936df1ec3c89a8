"""Invitations to teams (contract/endpoints.json, area `team-invitations`)."""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Done, Family
from fastapi_stackauth.models import ApiModel, InvitedTo, TeamInvitation

_ALL = "/team-invitations"
_ONE = "/team-invitations/{invitation_id}"


class SentInvitation(ApiModel):
    """An invitation that was sent; its code is in the mail alone."""

    success: bool = True
    id: str


class Accepted(ApiModel):
    """An invitation was accepted; the server says nothing about it."""


class TeamInvitationsApi(Family):
    """Invitations to teams."""

    async def send(self, team_id: str, *, email: str, callback_url: str) -> SentInvitation:
        """Invite somebody by mail.

        Args:
            team_id: to which team.
            email: the address.
            callback_url: where the link in the mail leads; on a domain that the project trusts.

        Raises:
            PermissionMissing: the user lacks `$invite_members`.
            TeamNotFound, RedirectUrlNotAllowed, UserGone, AuthServerError.
        """
        body = {"team_id": team_id, "email": email, "callback_url": callback_url}
        return await self._client.call(Call("POST", f"{_ALL}/send-code", json=body), SentInvitation)

    async def list(self, team_id: str) -> tuple[TeamInvitation, ...]:
        """A team's open invitations.

        Raises:
            PermissionMissing: the user lacks `$invite_members`.
            TeamNotFound, UserGone, AuthServerError.
        """
        call = Call("GET", _ALL, params={"team_id": team_id})
        return await self._list(call, Page[TeamInvitation])

    async def list_for_user(self, user_id: str = ME) -> tuple[TeamInvitation, ...]:
        """Open invitations to a user's verified addresses.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer, AuthServerError.
        """
        call = Call("GET", _ALL, params={"user_id": user_id})
        return await self._list(call, Page[TeamInvitation])

    async def revoke(self, invitation_id: str, *, team_id: str) -> None:
        """Take an invitation back.

        Raises:
            PermissionMissing, TeamNotFound, UserGone.
            AuthServerUnavailable: with `answer_status` 500, there is no such invitation (corrections.md B).
            AuthServerError: any other failure.
        """
        path = path_of(_ONE, invitation_id=invitation_id)
        await self._client.call(Call("DELETE", *path, params={"team_id": team_id}), Done)

    async def accept(self, *, code: str) -> None:
        """Join the team with the code from the mail; older servers do not compare the addresses.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            `RESTRICTED_USER_NOT_ALLOWED` or `TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED`, UserGone, AuthServerError.
        """
        await self._client.call(Call("POST", f"{_ALL}/accept", json={"code": code}), Accepted)

    async def details(self, *, code: str) -> InvitedTo:
        """Which team a code leads to.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            `RESTRICTED_USER_NOT_ALLOWED` or `TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED`, UserGone, AuthServerError.
        """
        return await self._client.call(Call("POST", f"{_ALL}/accept/details", json={"code": code}), InvitedTo)

    async def check_code(self, *, code: str) -> None:
        """See whether a code holds, without using it; counts as an attempt.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            AuthServerError: any other failure.
        """
        await self._client.call(Call("POST", f"{_ALL}/accept/check-code", json={"code": code}, rights="any"), Done)

    async def accept_by_id(self, invitation_id: str, user_id: str = ME) -> None:
        """Join the team by an invitation from `list_for_user`.

        Raises:
            `VERIFICATION_CODE_NOT_FOUND`: there is no such invitation to an address of the user's.
            `RESTRICTED_USER_NOT_ALLOWED` or `TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED`, UserGone, AuthServerError.
        """
        path = path_of(f"{_ONE}/accept", invitation_id=invitation_id)
        await self._client.call(Call("POST", *path, params={"user_id": user_id}, json={}), Accepted)
