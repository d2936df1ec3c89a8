"""Guests (contract/endpoints.json, area `auth/anonymous`; tokens.md §6)."""

from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.resources.base import Family
from fastapi_stackauth.models import SignIn


class AnonymousApi(Family):
    """Guests, who may sign up later and keep their id."""

    async def sign_up(self) -> SignIn:
        """Make a guest and sign in as them; works even where the project takes no new accounts.

        Raises:
            MethodNotEnabled: the project has no guests.
            AuthServerError: any other failure.
        """
        return await self._client.call(Call("POST", "/auth/anonymous/sign-up", json={}, rights="any"), SignIn)
