"""Anonymous users (contract/endpoints.json, area `auth/anonymous`; tokens.md §6)."""

from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.models import SignIn


class AnonymousApi(Resource):
    """Anonymous users. They keep their id if they sign up later."""

    async def sign_up(self) -> SignIn:
        """Create an anonymous user and sign in. This works even if the project does not allow sign-up.

        Raises:
            MethodNotEnabled: The project has not enabled anonymous users.
        """
        return await self._post("/auth/anonymous/sign-up", SignIn)
