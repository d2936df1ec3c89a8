"""One-time codes and magic links (contract/endpoints.json, area `auth/otp`; tokens.md §7)."""

from pydantic import Field

from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.resources.base import Done, Family
from fastapi_stackauth.models import ApiModel, BotChallenge, SignIn


class SentCode(ApiModel):
    """What belongs to a mail that was sent: six characters from the mail and this nonce make the code."""

    nonce: str = Field(repr=False)


class OtpApi(Family):
    """Sign-in by one-time code or link in a mail; unknown addresses get an account."""

    async def send_sign_in_code(
        self, *, email: str, callback_url: str, bot_challenge: BotChallenge | None = None
    ) -> SentCode:
        """Send the mail.

        Args:
            email: the address.
            callback_url: where the link in the mail leads; on a domain that the project trusts.
            bot_challenge: what a browser's bot challenge yielded, where the server wants one.

        Raises:
            EmailAlreadyExists, SignUpNotEnabled, RedirectUrlNotAllowed, `BOT_CHALLENGE_REQUIRED`,
            `BOT_CHALLENGE_FAILED`.
            UnexpectedAnswer: 403, the project has this method switched off.
            AuthServerError: any other failure.
        """
        challenge = bot_challenge.to_json() if bot_challenge else {}
        body = {"email": email, "callback_url": callback_url, **challenge}
        return await self._client.call(Call("POST", "/auth/otp/send-sign-in-code", json=body, rights="any"), SentCode)

    async def sign_in(self, *, code: str) -> SignIn:
        """Sign in; a guest whose address is new keeps their id. The code is burnt even where MFA is required.

        Args:
            code: the six characters from the mail and the nonce, or the link's own code: 45 characters.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            EmailAlreadyExists, SignUpNotEnabled, `SIGN_UP_REJECTED`, MfaRequired, AuthServerError.
        """
        return await self._client.call(Call("POST", "/auth/otp/sign-in", json={"code": code}, rights="any"), SignIn)

    async def check_code(self, *, code: str) -> None:
        """See whether a code would sign in, without using it; counts as an attempt.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            AuthServerError: any other failure.
        """
        call = Call("POST", "/auth/otp/sign-in/check-code", json={"code": code}, rights="any")
        await self._client.call(call, Done)
