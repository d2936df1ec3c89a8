"""A client made of the schema: signs up, signs in and calls a protected route; every name and type is the schema's."""

import sys

from example_app_client import AuthenticatedClient, Client
from example_app_client.api.example import me_api_me_get
from example_app_client.api.password import token_password_sign_in, token_password_sign_up
from example_app_client.models import PasswordSignInRequest, PasswordSignUpRequest, Tokens, User


def main(address: str) -> None:
    """Do what an app would."""
    email, password = "grace@example.com", "correct horse battery"
    client = Client(base_url=address)
    signed_up = token_password_sign_up.sync(client=client, body=PasswordSignUpRequest(email=email, password=password))
    assert isinstance(signed_up, Tokens), signed_up
    signed_in = token_password_sign_in.sync(client=client, body=PasswordSignInRequest(email=email, password=password))
    assert isinstance(signed_in, Tokens), signed_in
    me = me_api_me_get.sync(client=AuthenticatedClient(base_url=address, token=signed_in.access_token))
    assert isinstance(me, User), me
    assert me.email == email
    wrong = token_password_sign_in.sync(client=client, body=PasswordSignInRequest(email=email, password="wrong horse"))
    assert not isinstance(wrong, Tokens | None), wrong
    assert wrong.code == "EMAIL_PASSWORD_MISMATCH"
    sys.stdout.write("ok python: signs up, signs in, calls a protected route, knows its errors\n")


main(sys.argv[1])
