"""Sign-in for command-line tools (contract/new_endpoints.json, area `auth/cli`; payments.md §3 D)."""

from datetime import timedelta

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import Done, Resource
from fastapi_stackauth.models import CliLogin, CliPoll

LONGEST = timedelta(minutes=15)
"""The time limit of a sign-in. Older servers allow a day."""


class CliApi(Resource):
    """Sign-in for command-line tools, in three steps: start, complete it in a browser, poll for the token."""

    async def start(self, *, expires_in: timedelta = LONGEST) -> CliLogin:
        """Start a sign-in.

        Args:
            expires_in: How long the codes are valid, at most 15 minutes.

        Raises:
            ValueError: `expires_in` is not positive, or is longer than 15 minutes.
        """
        if not timedelta() < expires_in <= LONGEST:
            raise ValueError("expires_in must be positive, and at most 15 minutes")
        return await self._post("/auth/cli", CliLogin, expires_in_millis=expires_in // timedelta(milliseconds=1))

    async def poll(self, polling_code: str) -> CliPoll:
        """Return the state of a sign-in. The server returns the refresh token only once, so do not lose this response.

        Raises:
            KnownApiError: `INVALID_POLLING_CODE`: the code is unknown.
        """
        return await self._post("/auth/cli/poll", CliPoll, polling_code=polling_code)

    async def complete(self, login_code: str, *, refresh_token: str) -> None:
        """Pass a session to the tool: its next poll returns this refresh token. The auth server checks nothing else.

        Raises:
            UnexpectedResponse: Status 400: the code is unknown, expired or already completed, or the session has ended.
        """
        body = {"login_code": login_code, "mode": "complete", "refresh_token": refresh_token}
        await self._client.fetch(ApiRequest("POST", "/auth/cli/complete", json=body, rights="any"), Done)
