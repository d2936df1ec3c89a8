"""The second factor (contract/endpoints.json, area `auth/mfa`; tokens.md §8)."""

from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.models import SignIn


class MfaApi(Resource):
    """The second step after `MfaRequired`. `users.update_me` enables and disables two-factor authentication."""

    async def sign_in(self, *, attempt_code: str, totp: str) -> SignIn:
        """Complete a sign-in that raised `MfaRequired`.

        Args:
            attempt_code: The value of `MfaRequired.attempt_code`, valid for 5 minutes.
            totp: The six digits that the authenticator app shows.

        Raises:
            KnownApiError: `INVALID_TOTP_CODE`: the digits are wrong. The user may try again with the same
                `attempt_code`.
            VerificationCodeError: The `attempt_code` is unknown, expired, already used or was tried too often.
        """
        return await self._post("/auth/mfa/sign-in", SignIn, type="totp", totp=totp, code=attempt_code)
