"""Guests: somebody before they sign up."""

from fastapi import APIRouter, Request

from fastapi_stackauth.errors import KnownApiError
from fastapi_stackauth.routers.plumbing.attempts import account_key
from fastapi_stackauth.routers.plumbing.caller import client_of
from fastapi_stackauth.routers.plumbing.delivery import SignedIn, Tokens, deliver, signing_in
from fastapi_stackauth.routers.plumbing.operations import add_sign_in
from fastapi_stackauth.routers.plumbing.route import Delivery, RouteStack

TAG = "anonymous"


async def sign_up(request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Make a guest and sign in as them.

    A guest who later signs up with a password or a code keeps their id, and so what they did before. Routes of yours
    let guests in with `Require(allow_anonymous=True)`.
    """
    client = await client_of(request, stack)
    async with signing_in(request, stack, TAG, account_key(TAG)):
        signed_in = await client.anonymous.sign_up()
    return deliver(request, stack, signed_in, TAG, is_new_user=True)


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put this method's route on a router."""
    add_sign_in(
        router,
        delivery,
        "/anonymous/sign-up",
        sign_up,
        operation="anonymous_sign_up",
        summary="Go on as a guest",
        tag=TAG,
        errors=(KnownApiError.of("ANONYMOUS_ACCOUNTS_NOT_ENABLED"),),
        second_factor=False,
    )
