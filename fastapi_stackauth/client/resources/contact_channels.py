"""Contact channels (contract/endpoints.json, area `contact-channels`)."""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Done, Family, given, rights_over
from fastapi_stackauth.models import ContactChannel, ContactChannelCreate, ContactChannelUpdate
from fastapi_stackauth.verification.rejections import to_own_user_error

_ALL = "/contact-channels"
_ONE = "/contact-channels/{user_id}/{contact_channel_id}"


class ContactChannelsApi(Family):
    """E-mail addresses of the user this client is bound to, and their verification; as server, of any user."""

    async def list(
        self, user_id: str | None = ME, *, contact_channel_id: str | None = None
    ) -> tuple[ContactChannel, ...]:
        """The addresses of a user; with None, as server, of all users.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 403, somebody else's addresses.
            AuthServerError: any other failure.
        """
        params = given(user_id=user_id, contact_channel_id=contact_channel_id)
        call = Call("GET", _ALL, params=params, rights=rights_over(user_id))
        return await self._list(call, Page[ContactChannel])

    async def create(self, channel: ContactChannelCreate, user_id: str = ME) -> ContactChannel:
        """Add an address.

        Raises:
            EmailAlreadyExists: somebody else signs in with it.
            UnexpectedAnswer: 400, it is there already; 403, for somebody else.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        body = {"user_id": user_id, **channel.to_json()}
        call = Call("POST", _ALL, json=body, rights=rights_over(user_id, channel))
        return await self._client.call(call, ContactChannel)

    async def get(self, contact_channel_id: str, user_id: str = ME) -> ContactChannel:
        """One address.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 404, there is none; 403, somebody else's.
            AuthServerError: any other failure.
        """
        path = path_of(_ONE, user_id=user_id, contact_channel_id=contact_channel_id)
        return await self._client.call(Call("GET", *path, rights=rights_over(user_id)), ContactChannel)

    async def update(self, contact_channel_id: str, change: ContactChannelUpdate, user_id: str = ME) -> ContactChannel:
        """Change an address; a new value is unverified, a new primary address takes the place of the old one.

        Raises:
            EmailAlreadyExists: somebody else signs in with it.
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 400, there is none; 403, somebody else's.
            AuthServerError: any other failure.
        """
        path = path_of(_ONE, user_id=user_id, contact_channel_id=contact_channel_id)
        call = Call("PATCH", *path, json=change.to_json(), rights=rights_over(user_id, change))
        return await self._client.call(call, ContactChannel)

    async def delete(self, contact_channel_id: str, user_id: str = ME) -> None:
        """Remove an address.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 400, there is none; 403, somebody else's.
            AuthServerError: any other failure.
        """
        path = path_of(_ONE, user_id=user_id, contact_channel_id=contact_channel_id)
        await self._client.call(Call("DELETE", *path, rights=rights_over(user_id)), Done)

    async def send_verification_code(self, contact_channel_id: str, *, callback_url: str, user_id: str = ME) -> None:
        """Send the mail that verifies an address.

        Args:
            contact_channel_id: which address.
            callback_url: where the link in the mail leads; on a domain that the project trusts.
            user_id: whose address.

        Raises:
            `EMAIL_ALREADY_VERIFIED`, RedirectUrlNotAllowed.
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 404, there is no such address; 400, somebody else's.
            AuthServerError: any other failure.
        """
        path = path_of(f"{_ONE}/send-verification-code", user_id=user_id, contact_channel_id=contact_channel_id)
        translate = to_own_user_error if user_id == ME else None
        call = Call(
            "POST", *path, json={"callback_url": callback_url}, rights=rights_over(user_id), translate=translate
        )
        await self._client.call(call, Done)

    async def send_primary_verification_code(self, *, email: str, callback_url: str) -> None:
        """Send the mail that verifies the primary address; an older way that the server calls deprecated.

        Raises:
            `EMAIL_ALREADY_VERIFIED`, RedirectUrlNotAllowed.
            KnownApiError: `EMAIL_IS_NOT_PRIMARY_EMAIL`.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        body = {"email": email, "callback_url": callback_url}
        await self._client.call(Call("POST", f"{_ALL}/send-verification-code", json=body, rights="any"), Done)

    async def verify(self, *, code: str) -> None:
        """Verify an address with the code from the mail.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            UnexpectedAnswer: 400, the address is gone.
            AuthServerError: any other failure.
        """
        await self._client.call(Call("POST", f"{_ALL}/verify", json={"code": code}, rights="any"), Done)

    async def check_verification_code(self, *, code: str) -> None:
        """See whether a code would verify, without using it; counts as an attempt.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            AuthServerError: any other failure.
        """
        await self._client.call(Call("POST", f"{_ALL}/verify/check-code", json={"code": code}, rights="any"), Done)
