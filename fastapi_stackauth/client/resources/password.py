"""Email and password (contract/endpoints.json, area `auth/password`)."""

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import Done, Resource
from fastapi_stackauth.models import BotChallenge, SignIn


class PasswordApi(Resource):
    """Sign-up and sign-in by email and password; password change and reset.

    Methods raise MethodNotEnabled if the project has not enabled passwords, `PASSWORD_TOO_SHORT` or
    `PASSWORD_TOO_LONG` for a new password, and VerificationCodeError for a code that is not valid.
    """

    async def sign_up(
        self,
        *,
        email: str,
        password: str,
        verification_callback_url: str | None = None,
        bot_challenge: BotChallenge | None = None,
    ) -> SignIn:
        """Create an account and sign in; an anonymous user who signs up keeps their id.

        Args:
            email: the address, at most 256 characters.
            password: 8 to 70 characters.
            verification_callback_url: where the link in the verification email leads; without it no email is sent.
            bot_challenge: the result of a browser's bot challenge, if the server asks for one.

        Raises:
            EmailAlreadyExists: another account has this email address.
            SignUpNotEnabled: the project takes no new accounts.
            RedirectUrlNotAllowed: the project does not trust the URL.
            MfaRequired: the sign-in needs a TOTP code to finish.
            KnownApiError: `SIGN_UP_REJECTED`, `BOT_CHALLENGE_REQUIRED` or `BOT_CHALLENGE_FAILED`.
        """
        return await self._post(
            "/auth/password/sign-up",
            SignIn,
            email=email,
            password=password,
            verification_callback_url=verification_callback_url,
            **(bot_challenge.to_json() if bot_challenge else {}),
        )

    async def sign_in(self, *, email: str, password: str) -> SignIn:
        """Sign in to an account.

        Raises:
            EmailPasswordMismatch: the email address or the password is wrong.
            MfaRequired: the sign-in needs a TOTP code to finish.
        """
        return await self._post("/auth/password/sign-in", SignIn, email=email, password=password)

    async def set(self, *, password: str) -> None:
        """Set a first password for the user this client is bound to.

        Raises:
            SignInRequired: no user is signed in.
            UnexpectedResponse: 400, the account has a password already.
        """
        await self._post("/auth/password/set", Done, password=password)

    async def update(self, *, old_password: str, new_password: str, refresh_token: str | None = None) -> None:
        """Change the password of the user this client is bound to; their sessions end.

        Args:
            old_password: the current password.
            new_password: 8 to 70 characters.
            refresh_token: of the session that stays signed in.

        Raises:
            SignInRequired: no user is signed in.
            KnownApiError: `PASSWORD_CONFIRMATION_MISMATCH` or `USER_DOES_NOT_HAVE_PASSWORD`.
        """
        body = {"old_password": old_password, "new_password": new_password}
        request = ApiRequest("POST", "/auth/password/update", json=body, rights="any", refresh_token=refresh_token)
        await self._client.fetch(request, Done)

    async def send_reset_code(self, *, email: str, callback_url: str) -> None:
        """Send an email to reset the password. It succeeds for unknown addresses too.

        Args:
            email: the address.
            callback_url: where the link in the email leads; on a domain that the project trusts.

        Raises:
            RedirectUrlNotAllowed: the project does not trust the URL.
        """
        await self._post("/auth/password/send-reset-code", Done, email=email, callback_url=callback_url)

    async def reset(self, *, code: str, password: str) -> None:
        """Set a new password with the code from the email; all of the user's sessions end."""
        await self._post("/auth/password/reset", Done, code=code, password=password)

    async def check_reset_code(self, *, code: str) -> None:
        """Check a reset code without using it; counts as an attempt."""
        await self._post("/auth/password/reset/check-code", Done, code=code)
