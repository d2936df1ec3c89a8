"""Anonymous users: visitors before they sign up."""

from fastapi_stackauth.routers.plumbing.context import Context, account_key
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.transport import SignInResult

routes = Routes("anonymous", feature="anonymous")


@routes.sign_in(
    "/anonymous/sign-up",
    "Sign up as an anonymous user",
    errors=("ANONYMOUS_ACCOUNTS_NOT_ENABLED",),
    second_factor=False,
)
async def anonymous_sign_up(context: Context) -> SignInResult:
    """Create an anonymous user and sign in as them.

    An anonymous user who later signs up with a password or a code keeps their id and their data. Your own
    routes accept anonymous users with `Require(allow_anonymous=True)`.
    """
    return await context.sign_in(context.client.anonymous.sign_up(), account_key("anonymous"), is_new_user=True)
