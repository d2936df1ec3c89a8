"""Contact channels (contract/endpoints.json, area `contact-channels`)."""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource, build_query, rights_over
from fastapi_stackauth.models import ContactChannel, ContactChannelCreate, ContactChannelUpdate
from fastapi_stackauth.verification.rejections import to_own_user_error

_ALL = "/contact-channels"
_ONE = "/contact-channels/{user_id}/{contact_channel_id}"


class ContactChannelsApi(Resource):
    """Email addresses and their verification: those of the client's user or, as server, of any user.

    All methods may raise SignInRequired, and UnexpectedResponse with status 403 if the address belongs to another user.
    """

    async def list(
        self, user_id: str | None = ME, *, contact_channel_id: str | None = None
    ) -> tuple[ContactChannel, ...]:
        """List the addresses of a user. As server, pass None for those of all users."""
        params = build_query(user_id=user_id, contact_channel_id=contact_channel_id)
        request = ApiRequest("GET", _ALL, params=params, rights=rights_over(user_id))
        return await self._list(request, Page[ContactChannel])

    async def create(self, channel: ContactChannelCreate, user_id: str = ME) -> ContactChannel:
        """Add an address.

        Raises:
            EmailAlreadyExists: Another user signs in with it.
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 400: the user already has this address.
        """
        body = {"user_id": user_id, **channel.to_json()}
        rights = "server" if channel.server_only else rights_over(user_id)
        return await self._client.fetch(ApiRequest("POST", _ALL, json=body, rights=rights), ContactChannel)

    async def get(self, contact_channel_id: str, user_id: str = ME) -> ContactChannel:
        """Return one address.

        Raises:
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 404: there is no such address.
        """
        request = ApiRequest("GET", _ONE, (user_id, contact_channel_id), rights=rights_over(user_id))
        return await self._client.fetch(request, ContactChannel)

    async def update(self, contact_channel_id: str, change: ContactChannelUpdate, user_id: str = ME) -> ContactChannel:
        """Change an address. A new value is unverified; a new primary address replaces the old one.

        Raises:
            EmailAlreadyExists: Another user signs in with it.
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 400: there is no such address.
        """
        ids = (user_id, contact_channel_id)
        request = ApiRequest("PATCH", _ONE, ids, json=change, rights=rights_over(user_id))
        return await self._client.fetch(request, ContactChannel)

    async def delete(self, contact_channel_id: str, user_id: str = ME) -> None:
        """Delete an address.

        Raises:
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 400: there is no such address.
        """
        request = ApiRequest("DELETE", _ONE, (user_id, contact_channel_id), rights=rights_over(user_id))
        await self._client.fetch(request, Done)

    async def send_verification_code(self, contact_channel_id: str, *, callback_url: str, user_id: str = ME) -> None:
        """Send the email that verifies an address.

        Args:
            contact_channel_id: The id of the address.
            callback_url: The URL that the link in the email opens. The project must trust its domain.
            user_id: The id of the user.

        Raises:
            RedirectUrlNotAllowed: The project does not trust the URL.
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 404 if there is no such address; 400 if it belongs to another user.
            KnownApiError: `EMAIL_ALREADY_VERIFIED`.
        """
        request = ApiRequest(
            "POST",
            f"{_ONE}/send-verification-code",
            (user_id, contact_channel_id),
            json={"callback_url": callback_url},
            rights=rights_over(user_id),
            translate=to_own_user_error if user_id == ME else None,
        )
        await self._client.fetch(request, Done)

    async def send_primary_verification_code(self, *, email: str, callback_url: str) -> None:
        """Send the email that verifies the primary address. The auth server has deprecated this operation.

        Raises:
            RedirectUrlNotAllowed: The project does not trust the URL.
            SignInRequired: No user is signed in.
            KnownApiError: `EMAIL_ALREADY_VERIFIED`, `EMAIL_IS_NOT_PRIMARY_EMAIL`.
        """
        await self._post(f"{_ALL}/send-verification-code", Done, email=email, callback_url=callback_url)

    async def verify(self, *, code: str) -> None:
        """Verify an address with the code from the email.

        Raises:
            VerificationCodeError: The code is wrong, expired, already used or was tried too often.
            UnexpectedResponse: Status 400: the address no longer exists.
        """
        await self._post(f"{_ALL}/verify", Done, code=code)

    async def check_verification_code(self, *, code: str) -> None:
        """Check a verification code without using it; counts as an attempt.

        Raises:
            VerificationCodeError: The code is wrong, expired, already used or was tried too often.
        """
        await self._post(f"{_ALL}/verify/check-code", Done, code=code)
