"""Anonymous users (contract/endpoints.json, area `auth/anonymous`; tokens.md §6)."""

from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.models import SignIn


class AnonymousApi(Resource):
    """Anonymous users, who may sign up later and keep their id."""

    async def sign_up(self) -> SignIn:
        """Create an anonymous user and sign in; works even if the project allows no sign-up.

        Raises:
            MethodNotEnabled: the project has no anonymous users.
        """
        return await self._post("/auth/anonymous/sign-up", SignIn)
