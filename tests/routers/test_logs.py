"""The logs of a full run of all flows, at DEBUG, with uvicorn's access log and httpx's own lines: no secret in them."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from fastapi_stackauth import AuthEvent
from fastapi_stackauth.routers import Delivery
from tests.routers.all_flows import NEW_EMAIL, all_flows
from tests.routers.callers import EMAIL, ORIGIN, House, Person


@asynccontextmanager
async def at_a_real_server(app: FastAPI, delivery: Delivery) -> AsyncIterator[Person]:
    """Somebody who calls an app on uvicorn that logs whatever it can."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, log_level="debug", access_log=True, lifespan="off")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve([listener]))
    url = f"http://localhost:{listener.getsockname()[1]}"
    headers = {"origin": ORIGIN} if delivery == "cookie" else {}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            yield Person(client, delivery)
    finally:
        running.should_exit = True
        await task
        listener.close()


@pytest.mark.parametrize("keyed", [False, True], ids=["publishable-key", "secret-key"])
async def test_no_token_code_password_or_key_is_ever_logged(
    house: House, keyed_house: House, delivery: Delivery, keyed: bool, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "httpcore")  # at DEBUG it writes all headers, this client's cookies too
    caplog.set_level(logging.DEBUG)  # last: it sets what caplog itself lets through
    place = keyed_house if keyed else house
    heard: list[AuthEvent] = []
    place.stack.events.on()(heard.append)
    async with at_a_real_server(place.app, delivery) as person:
        secrets = await all_flows(place, person)
    secrets += [place.server.publishable_client_key, place.server.secret_server_key]
    logging.getLogger("fastapi_stackauth.routers").debug("the last line")
    written = "\n".join(caplog.handler.format(record) for record in caplog.records)
    assert "the last line" in written, "lines at DEBUG are searched"
    assert "HTTP Request: POST" in written, "httpx's lines are among them"
    assert '/password/reset?code=[redacted] HTTP/1.1" 200' in written, "and uvicorn's"
    assert [secret for secret in secrets if secret in written] == []
    told = "\n".join([*map(repr, heard), *map(repr, place.stack.events.counts())])
    assert {"sign_in_succeeded", "sign_in_failed", "session_ended", "auth_server_call"} <= {each.name for each in heard}
    users = [user["id"] for user in place.server.store.users.in_order(place.server.project_id)]
    assert [private for private in (*secrets, *users, EMAIL, NEW_EMAIL, "127.0.0.1") if private in told] == []
