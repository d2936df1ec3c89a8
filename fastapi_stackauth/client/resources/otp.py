"""One-time codes and magic links (contract/endpoints.json, area `auth/otp`; tokens.md §7)."""

from pydantic import Field

from fastapi_stackauth.client.resources.base import Done, Resource
from fastapi_stackauth.models import ApiModel, BotChallenge, SignIn


class SentCode(ApiModel):
    """The nonce of an email that was sent. The six characters from the email and this nonce form the code."""

    nonce: str = Field(repr=False)


class OtpApi(Resource):
    """Sign-in with a one-time code or link sent by email. The server creates an account for an unknown address.

    Methods that take a code raise VerificationCodeError if it is not valid.
    """

    async def send_sign_in_code(
        self, *, email: str, callback_url: str, bot_challenge: BotChallenge | None = None
    ) -> SentCode:
        """Send the email.

        Args:
            email: The address.
            callback_url: The URL that the link in the email opens. The project must trust its domain.
            bot_challenge: The result of a bot challenge in the browser, if the server requires one.

        Raises:
            EmailAlreadyExists: Another account has this email address.
            SignUpNotEnabled: The project does not allow sign-up.
            RedirectUrlNotAllowed: The project does not trust the URL.
            UnexpectedResponse: Status 403: the project has not enabled this method.
            KnownApiError: `BOT_CHALLENGE_REQUIRED` or `BOT_CHALLENGE_FAILED`.
        """
        challenge = bot_challenge.to_json() if bot_challenge else {}
        path = "/auth/otp/send-sign-in-code"
        return await self._post(path, SentCode, email=email, callback_url=callback_url, **challenge)

    async def sign_in(self, *, code: str) -> SignIn:
        """Sign in. An anonymous user with a new address keeps their id. The code is used up even if MFA is required.

        Args:
            code: The six characters from the email followed by the nonce, or the code from the link. Both have 45
                characters.

        Raises:
            EmailAlreadyExists: Another account has this email address.
            SignUpNotEnabled: The project does not allow sign-up.
            MfaRequired: The sign-in needs a TOTP code to finish.
            KnownApiError: `SIGN_UP_REJECTED`.
        """
        return await self._post("/auth/otp/sign-in", SignIn, code=code)

    async def check_code(self, *, code: str) -> None:
        """Check a code without using it up. This counts as an attempt."""
        await self._post("/auth/otp/sign-in/check-code", Done, code=code)
