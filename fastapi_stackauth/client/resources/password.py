"""Email and password (contract/endpoints.json, area `auth/password`)."""

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import Done, Resource
from fastapi_stackauth.models import BotChallenge, SignIn


class PasswordApi(Resource):
    """Sign-up and sign-in with email and password; password change and reset.

    Methods raise MethodNotEnabled if the project has not enabled passwords. If a new password has the wrong length,
    they raise `PASSWORD_TOO_SHORT` or `PASSWORD_TOO_LONG`; if a code is not valid, VerificationCodeError.
    """

    async def sign_up(
        self,
        *,
        email: str,
        password: str,
        verification_callback_url: str | None = None,
        bot_challenge: BotChallenge | None = None,
    ) -> SignIn:
        """Create an account and sign in. An anonymous user keeps their id.

        Args:
            email: The address, at most 256 characters.
            password: 8 to 70 characters.
            verification_callback_url: The URL that the link in the verification email opens. Without it, no email is
                sent.
            bot_challenge: The result of a bot challenge in the browser, if the server requires one.

        Raises:
            EmailAlreadyExists: Another account has this email address.
            SignUpNotEnabled: The project does not allow sign-up.
            RedirectUrlNotAllowed: The project does not trust the URL.
            MfaRequired: The sign-in needs a TOTP code to finish.
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
            EmailPasswordMismatch: The email address or the password is wrong.
            MfaRequired: The sign-in needs a TOTP code to finish.
        """
        return await self._post("/auth/password/sign-in", SignIn, email=email, password=password)

    async def set(self, *, password: str) -> None:
        """Set a first password for the client's user.

        Raises:
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 400: the account already has a password.
        """
        await self._post("/auth/password/set", Done, password=password)

    async def update(self, *, old_password: str, new_password: str, refresh_token: str | None = None) -> None:
        """Change the password of the client's user. This ends the user's other sessions.

        Args:
            old_password: The current password.
            new_password: 8 to 70 characters.
            refresh_token: The refresh token of a session that stays signed in.

        Raises:
            SignInRequired: No user is signed in.
            KnownApiError: `PASSWORD_CONFIRMATION_MISMATCH` or `USER_DOES_NOT_HAVE_PASSWORD`.
        """
        body = {"old_password": old_password, "new_password": new_password}
        request = ApiRequest("POST", "/auth/password/update", json=body, rights="any", refresh_token=refresh_token)
        await self._client.fetch(request, Done)

    async def send_reset_code(self, *, email: str, callback_url: str) -> None:
        """Send an email with a link to reset the password. This also succeeds for unknown addresses.

        Args:
            email: The address.
            callback_url: The URL that the link in the email opens. The project must trust its domain.

        Raises:
            RedirectUrlNotAllowed: The project does not trust the URL.
        """
        await self._post("/auth/password/send-reset-code", Done, email=email, callback_url=callback_url)

    async def reset(self, *, code: str, password: str) -> None:
        """Set a new password with the code from the email. This ends all of the user's sessions."""
        await self._post("/auth/password/reset", Done, code=code, password=password)

    async def check_reset_code(self, *, code: str) -> None:
        """Check a reset code without using it up. This counts as an attempt."""
        await self._post("/auth/password/reset/check-code", Done, code=code)
