"""The second factor (contract/endpoints.json, area `auth/mfa`; tokens.md §8)."""

from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.resources.base import Family
from fastapi_stackauth.models import SignIn


class MfaApi(Family):
    """What follows `MfaRequired`. Switch the second factor on and off with `users.update_me`."""

    async def sign_in(self, *, attempt_code: str, totp: str) -> SignIn:
        """Finish a sign-in that raised `MfaRequired`.

        Args:
            attempt_code: `MfaRequired.attempt_code`; valid for 5 minutes.
            totp: the six digits that the authenticator app shows now.

        Raises:
            `INVALID_TOTP_CODE`: the digits are wrong; the same attempt may be repeated.
            VerificationCodeError: the attempt is unknown, expired, finished or was repeated too often.
            AuthServerError: any other failure.
        """
        body = {"type": "totp", "totp": totp, "code": attempt_code}
        return await self._client.call(Call("POST", "/auth/mfa/sign-in", json=body, rights="any"), SignIn)
