"""E-mail and password (contract/endpoints.json, area `auth/password`)."""

from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.resources.base import Done, Family
from fastapi_stackauth.models import BotChallenge, SignIn


class PasswordApi(Family):
    """Sign-up and sign-in by e-mail and password, change and reset."""

    async def sign_up(
        self,
        *,
        email: str,
        password: str,
        verification_callback_url: str | None = None,
        bot_challenge: BotChallenge | None = None,
    ) -> SignIn:
        """Make an account and sign in to it; a guest that calls this keeps their id.

        Args:
            email: the address, at most 256 characters.
            password: 8 to 70 characters.
            verification_callback_url: where the link in the verification mail leads; without it no mail is sent.
            bot_challenge: what a browser's bot challenge yielded, where the server wants one.

        Raises:
            EmailAlreadyExists, `PASSWORD_TOO_SHORT`, `PASSWORD_TOO_LONG`, SignUpNotEnabled, `SIGN_UP_REJECTED`,
            MethodNotEnabled,
            RedirectUrlNotAllowed, `BOT_CHALLENGE_REQUIRED`, `BOT_CHALLENGE_FAILED`, MfaRequired, AuthServerError.
        """
        body = {"email": email, "password": password}
        if verification_callback_url is not None:
            body["verification_callback_url"] = verification_callback_url
        json = {**body, **(bot_challenge.to_json() if bot_challenge else {})}
        return await self._client.call(Call("POST", "/auth/password/sign-up", json=json, rights="any"), SignIn)

    async def sign_in(self, *, email: str, password: str) -> SignIn:
        """Sign in to an account.

        Raises:
            EmailPasswordMismatch, MethodNotEnabled, MfaRequired, AuthServerError.
        """
        body = {"email": email, "password": password}
        return await self._client.call(Call("POST", "/auth/password/sign-in", json=body, rights="any"), SignIn)

    async def set(self, *, password: str) -> None:
        """Give the user this client is bound to a first password.

        Raises:
            `PASSWORD_TOO_SHORT`, `PASSWORD_TOO_LONG`, MethodNotEnabled.
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 400, there is a password already.
            AuthServerError: any other failure.
        """
        call = Call("POST", "/auth/password/set", json={"password": password}, rights="any")
        await self._client.call(call, Done)

    async def update(self, *, old_password: str, new_password: str, refresh_token: str | None = None) -> None:
        """Change the password of the user this client is bound to; their sessions end.

        Args:
            old_password: the one that holds until now.
            new_password: 8 to 70 characters.
            refresh_token: of the session that is to live on.

        Raises:
            `PASSWORD_CONFIRMATION_MISMATCH`, `PASSWORD_TOO_SHORT`, `PASSWORD_TOO_LONG`,
            `USER_DOES_NOT_HAVE_PASSWORD`, MethodNotEnabled.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        body = {"old_password": old_password, "new_password": new_password}
        call = Call("POST", "/auth/password/update", json=body, rights="any", refresh_token=refresh_token)
        await self._client.call(call, Done)

    async def send_reset_code(self, *, email: str, callback_url: str) -> None:
        """Send a mail to reset the password; succeeds for unknown addresses too, and does not tell which they are.

        Args:
            email: the address.
            callback_url: where the link in the mail leads; on a domain that the project trusts.

        Raises:
            MethodNotEnabled, RedirectUrlNotAllowed, AuthServerError.
        """
        body = {"email": email, "callback_url": callback_url}
        await self._client.call(Call("POST", "/auth/password/send-reset-code", json=body, rights="any"), Done)

    async def reset(self, *, code: str, password: str) -> None:
        """Set a new password with the code from the mail; all of the user's sessions end.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            `PASSWORD_TOO_SHORT`, `PASSWORD_TOO_LONG`, MethodNotEnabled, AuthServerError.
        """
        body = {"code": code, "password": password}
        await self._client.call(Call("POST", "/auth/password/reset", json=body, rights="any"), Done)

    async def check_reset_code(self, *, code: str) -> None:
        """See whether a reset code holds, without using it; counts as an attempt.

        Raises:
            VerificationCodeError: the code is wrong, expired, used or was tried too often.
            AuthServerError: any other failure.
        """
        call = Call("POST", "/auth/password/reset/check-code", json={"code": code}, rights="any")
        await self._client.call(call, Done)
