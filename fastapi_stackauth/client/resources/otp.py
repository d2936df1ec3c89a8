"""One-time codes and magic links (contract/endpoints.json, area `auth/otp`; tokens.md §7)."""

from pydantic import Field

from fastapi_stackauth.client.resources.base import Done, Resource
from fastapi_stackauth.models import ApiModel, BotChallenge, SignIn


class SentCode(ApiModel):
    """What belongs to an email that was sent: six characters from the email and this nonce make the code."""

    nonce: str = Field(repr=False)


class OtpApi(Resource):
    """Sign-in by a one-time code or link in an email; an unknown address gets an account.

    Methods raise VerificationCodeError for a code that is not valid.
    """

    async def send_sign_in_code(
        self, *, email: str, callback_url: str, bot_challenge: BotChallenge | None = None
    ) -> SentCode:
        """Send the email.

        Args:
            email: the address.
            callback_url: where the link in the email leads; on a domain that the project trusts.
            bot_challenge: the result of a browser's bot challenge, if the server asks for one.

        Raises:
            EmailAlreadyExists: another account has this email address.
            SignUpNotEnabled: the project takes no new accounts.
            RedirectUrlNotAllowed: the project does not trust the URL.
            UnexpectedResponse: 403, the project has not enabled this method.
            KnownApiError: `BOT_CHALLENGE_REQUIRED` or `BOT_CHALLENGE_FAILED`.
        """
        challenge = bot_challenge.to_json() if bot_challenge else {}
        path = "/auth/otp/send-sign-in-code"
        return await self._post(path, SentCode, email=email, callback_url=callback_url, **challenge)

    async def sign_in(self, *, code: str) -> SignIn:
        """Sign in. An anonymous user whose address is new keeps their id. The code is used up even if MFA is required.

        Args:
            code: the six characters from the email and the nonce, or the link's own code: 45 characters.

        Raises:
            EmailAlreadyExists: another account has this email address.
            SignUpNotEnabled: the project takes no new accounts.
            MfaRequired: the sign-in needs a TOTP code to finish.
            KnownApiError: `SIGN_UP_REJECTED`.
        """
        return await self._post("/auth/otp/sign-in", SignIn, code=code)

    async def check_code(self, *, code: str) -> None:
        """Check a code without using it; counts as an attempt."""
        await self._post("/auth/otp/sign-in/check-code", Done, code=code)
