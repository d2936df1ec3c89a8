"""`ApiCaller` sends requests for one caller; the resources call the auth server through it."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from fastapi_stackauth.client.caller import AccessType, Caller, access_type, build_headers
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.client.transport import Transport
from fastapi_stackauth.errors import AccessTokenRejected, AuthServerError, UnexpectedResponse
from fastapi_stackauth.settings import Settings

M = TypeVar("M", bound=BaseModel)


class ApiCaller:
    """Sends requests with the headers of one caller and decodes the responses.

    A request passes `fetch` (decoding), `send_with_auth`, and then the transport's deadline and retries.
    """

    def __init__(self, settings: Settings, transport: Transport, caller: Caller) -> None:
        self.settings = settings
        self._transport = transport
        self._caller = caller

    @property
    def uses_secret_key_for_users(self) -> bool:
        """Whether users' requests travel with the secret key, because no publishable key is configured."""
        return not self._caller.as_server and self.settings.user_access_type == "server"

    async def access_token(self) -> str | None:
        """Return the access token of the user this client is bound to; that of a session is refreshed in time.

        Raises:
            SessionEnded: the session has ended.
            AuthServerError: the refresh failed for another reason.
        """
        source = self._caller.token_source
        return await source.access_token() if source else self._caller.access_token

    async def fetch(self, request: ApiRequest, model: type[M]) -> M:
        """Send a request and decode the response into a model.

        Raises:
            AuthServerError: any outcome but a readable success.
        """
        access = access_type(self._caller, request, self.settings)
        try:
            response = await self.send_with_auth(request, access)
        except AuthServerError as error:
            meant = error if request.translate is None else request.translate(error)
            if meant is error:
                raise
            raise meant from None
        # Through the secret key the server shows more than a user may read: keep the fields that the model declares.
        narrows = access == "server" and not self._caller.as_server
        try:
            return model.model_validate_json(response.body, extra="ignore" if narrows else None)
        except ValidationError:
            raise UnexpectedResponse(operation=request.operation, request_id=response.request_id) from None

    async def send_with_auth(self, request: ApiRequest, access: AccessType | None) -> ApiResponse:
        """Send a request with the caller's headers; without them if `access` is None.

        Raises:
            AuthServerError: any outcome but a success.
        """
        if access is None:
            return await self._transport.send_before_deadline(request, {})
        token = None if request.without_user else await self.access_token()
        headers = build_headers(self._caller, request, self.settings, access, token)
        try:
            return await self._transport.send_before_deadline(request, headers)
        except AccessTokenRejected as error:
            source = self._caller.token_source
            if error.code != "ACCESS_TOKEN_EXPIRED" or token is None or source is None:
                raise
        # The clocks disagree. The server rejected the token before it did anything, so any request may be sent again.
        headers = build_headers(self._caller, request, self.settings, access, await source.replace(token))
        return await self._transport.send_before_deadline(request, headers)
