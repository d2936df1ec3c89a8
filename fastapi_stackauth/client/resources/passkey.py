"""Passkeys (contract/endpoints.json, area `auth/passkey`).

The server returns 500 for most passkeys that it cannot verify (corrections.md B). The client raises `PasskeyFailed` for
all of them.
"""

from collections.abc import Mapping

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.errors import AuthServerError, AuthServerUnavailable, PasskeyFailed
from fastapi_stackauth.models import PasskeyChallenge, PasskeyRegistration, SignIn


class PasskeyApi(Resource):
    """Passkeys. A user has at most one: a new registration replaces it.

    All methods raise MethodNotEnabled if the project has not enabled passkeys.
    """

    async def initiate_registration(self) -> PasskeyChallenge:
        """Start the registration of a passkey for the client's user."""
        return await self._post("/auth/passkey/initiate-passkey-registration", PasskeyChallenge)

    async def register(self, *, code: str, credential: Mapping[str, object]) -> PasskeyRegistration:
        """Complete a registration.

        Args:
            code: The code of the challenge.
            credential: `RegistrationResponseJSON`, as the browser returned it (WebAuthn Level 3 §5.1).

        Raises:
            PasskeyFailed: The server does not accept the passkey. Start again.
            VerificationCodeError: The code is wrong, expired, already used or was tried too often.
        """
        body = {"code": code, "credential": dict(credential)}
        request = ApiRequest("POST", "/auth/passkey/register", json=body, rights="any", translate=_registration_failed)
        return await self._client.fetch(request, PasskeyRegistration)

    async def initiate_authentication(self) -> PasskeyChallenge:
        """Start a sign-in with a passkey."""
        return await self._post("/auth/passkey/initiate-passkey-authentication", PasskeyChallenge)

    async def sign_in(self, *, code: str, authentication_response: Mapping[str, object]) -> SignIn:
        """Complete a sign-in.

        Args:
            code: The code of the challenge.
            authentication_response: `AuthenticationResponseJSON`, as the browser returned it (WebAuthn Level 3 §5.1).

        Raises:
            PasskeyFailed: The server does not accept the passkey. Start again.
            VerificationCodeError: The code is wrong, expired, already used or was tried too often.
            MfaRequired: The sign-in needs a TOTP code to finish.
        """
        body = {"code": code, "authentication_response": dict(authentication_response)}
        request = ApiRequest("POST", "/auth/passkey/sign-in", json=body, rights="any", translate=_sign_in_failed)
        return await self._client.fetch(request, SignIn)


def _registration_failed(error: AuthServerError) -> AuthServerError:
    return _passkey_failed(error, "PASSKEY_REGISTRATION_FAILED")


def _sign_in_failed(error: AuthServerError) -> AuthServerError:
    return _passkey_failed(error, "PASSKEY_AUTHENTICATION_FAILED")


def _passkey_failed(error: AuthServerError, code: str) -> AuthServerError:
    if not isinstance(error, AuthServerUnavailable) or error.response_status != 500:
        return error
    return PasskeyFailed(code, 400, operation=error.operation, request_id=error.request_id)
