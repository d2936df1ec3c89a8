"""The second factor (contract/endpoints.json, area `auth/mfa`; tokens.md §8)."""

from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.models import SignIn


class MfaApi(Resource):
    """What follows `MfaRequired`. To enable or disable two-factor authentication, use `users.update_me`."""

    async def sign_in(self, *, attempt_code: str, totp: str) -> SignIn:
        """Finish a sign-in that raised `MfaRequired`.

        Args:
            attempt_code: `MfaRequired.attempt_code`; valid for 5 minutes.
            totp: the six digits that the authenticator app shows now.

        Raises:
            KnownApiError: `INVALID_TOTP_CODE`, the digits are wrong; the same attempt may be repeated.
            VerificationCodeError: the attempt is unknown, expired, finished or was repeated too often.
        """
        return await self._post("/auth/mfa/sign-in", SignIn, type="totp", totp=totp, code=attempt_code)
