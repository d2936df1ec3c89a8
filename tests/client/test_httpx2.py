"""Clients and transports of httpx2 serve as those of httpx do; anything else is an error that says what is expected."""

from typing import Any

import httpx
import pytest

from fastapi_stackauth import ConfigurationError, StackAuth, StackAuthError
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import AuthServerTimeout, AuthServerUnreachable, EmailPasswordMismatch
from tests.routers.callers import EMAIL, PASSWORD, new_stack
from tests.support.forge import BASE, NOW, PROJECT, Signer
from tests.support.server import FakeAuthServer

httpx2 = pytest.importorskip("httpx2")  # Starlette's TestClient prefers it; nothing else needs it


async def test_a_client_of_httpx2_calls_the_auth_server(server: Emulator):
    async with httpx2.AsyncClient() as own:
        stack = new_stack(server, http_client=own)
        await stack.client.password.sign_up(email=EMAIL, password=PASSWORD)
        with pytest.raises(EmailPasswordMismatch):
            await stack.client.password.sign_in(email=EMAIL, password="another password")
        await stack.aclose()
        assert not own.is_closed


async def test_a_transport_of_httpx2_verifies_tokens():
    signer = Signer()
    transport = httpx2.ASGITransport(FakeAuthServer(signer))
    stack = StackAuth(project_id=PROJECT, base_url=BASE, transport=transport, clock=lambda: NOW + 1)
    assert (await stack.verifier.verify(signer.token())).id
    await stack.aclose()


async def test_the_faults_of_httpx2_are_typed_errors():
    faults: dict[str, type[Exception]] = {
        "ConnectError": AuthServerUnreachable,
        "ReadError": AuthServerUnreachable,
        "ConnectTimeout": AuthServerTimeout,
        "ReadTimeout": AuthServerTimeout,
    }
    wrong = []
    for name, expected in faults.items():

        def fail(request: Any, name: str = name) -> Any:
            raise getattr(httpx2, name)("cut", request=request)

        stack = StackAuth(project_id="p", transport=httpx2.MockTransport(fail), timeout=0.05)
        with pytest.raises(StackAuthError) as caught:
            await stack.client.project.current()
        if not isinstance(caught.value, expected):
            wrong.append((name, caught.value))
        await stack.aclose()
    assert wrong == []


def test_any_other_client_is_an_error_that_says_what_fits():
    with httpx.Client() as sync:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"http_client": sync}, "http_client must be an AsyncClient of httpx or httpx2; got httpx.Client."),
            ({"transport": httpx.HTTPTransport()}, "transport must be an AsyncBaseTransport of httpx or httpx2; got "),
            ({"http_client": object()}, "http_client must be an AsyncClient of httpx or httpx2; got builtins.object."),
        ]
        for options, message in cases:
            with pytest.raises(ConfigurationError) as caught:
                StackAuth(project_id="p", **options)
            assert str(caught.value).startswith(message)
