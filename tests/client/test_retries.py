"""Design decision 13: what is repeated, how long the pauses are, and that all of it ends at a deadline."""

import httpx
import pytest
from starlette.responses import Response

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.transport import Transport
from fastapi_stackauth.errors import (
    AuthServerError,
    AuthServerRateLimited,
    AuthServerTimeout,
    AuthServerUnavailable,
    AuthServerUnreachable,
    KnownApiError,
)

from .fakes import FakeServer, FakeTime, json_response, known_error, make_client, make_transport, text_answer

READ, WRITE = ApiRequest("GET", "/users/me"), ApiRequest("POST", "/teams", json={})


async def outcome(call: ApiRequest, *answers: Response, timeout: float = 10.0) -> tuple[FakeServer, FakeTime, object]:
    server, time = FakeServer(list(answers)), FakeTime()
    try:
        return server, time, await make_transport(server, time, timeout).send_before_deadline(call, {})
    except AuthServerError as error:
        return server, time, error


@pytest.mark.parametrize("call", [READ, WRITE])
async def test_a_429_is_repeated_for_every_call(call: ApiRequest):
    server, _, answer = await outcome(call, text_answer("", 429), json_response({}))
    assert len(server.asked) == 2
    assert not isinstance(answer, Exception)


async def test_retry_after_is_waited_for():
    _, time, _ = await outcome(WRITE, text_answer("", 429, retry_after="4"), json_response({}))
    assert time.pauses == [4.0]


async def test_without_retry_after_pauses_grow_up_to_a_cap():
    _, time, error = await outcome(ApiRequest("GET", "/x", attempts=7), text_answer("", 429), timeout=1000)
    assert time.pauses == [0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    assert isinstance(error, AuthServerRateLimited)


async def test_pauses_are_spread_at_random():
    server, time = FakeServer([text_answer("", 503)]), FakeTime()
    http = Transport(
        "http://auth.test", 10, transport=httpx.ASGITransport(server), sleep=time.sleep, jitter=lambda: 0.5,
        clock=time.clock,
    )  # fmt: skip
    with pytest.raises(AuthServerUnavailable):
        await http.send_before_deadline(READ, {})
    assert time.pauses == [0.2, 0.4, 0.8]


async def test_a_pause_that_would_outlast_the_deadline_is_not_begun():
    """The caller hears of the server's limit at once, and for how long, instead of a timeout later."""
    server, time, error = await outcome(READ, text_answer("", 429, retry_after="60"))
    assert isinstance(error, AuthServerRateLimited)
    assert error.retry_after == 60
    assert (len(server.asked), time.pauses) == (1, [])


async def test_all_attempts_together_end_at_the_deadline():
    server, time, error = await outcome(
        ApiRequest("GET", "/x", attempts=100, timeout=5.0), text_answer("", 429, retry_after="2"), timeout=1000
    )
    assert isinstance(error, AuthServerRateLimited)
    assert time.pauses == [2.0, 2.0]
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_transient_failure_is_retried_if_harmless(status: int):
    """A failure that may pass is repeated where that does no harm."""
    reads, _, _ = await outcome(READ, text_answer("", status), json_response({}))
    writes, _, error = await outcome(WRITE, text_answer("", status), json_response({}))
    assert (len(reads.asked), len(writes.asked)) == (2, 1)
    assert isinstance(error, AuthServerUnavailable)


async def test_a_crash_of_the_server_is_not_repeated():
    server, _, error = await outcome(READ, text_answer("", 500), json_response({}))
    assert len(server.asked) == 1
    assert isinstance(error, AuthServerUnavailable)
    assert error.response_status == 500


async def test_a_refusal_is_not_repeated():
    server, _, error = await outcome(READ, known_error("USER_NOT_FOUND", 404), json_response({}))
    assert len(server.asked) == 1
    assert isinstance(error, KnownApiError)


async def test_attempts_are_counted():
    server, _, error = await outcome(READ, text_answer("", 503))
    assert len(server.asked) == 4
    assert isinstance(error, AuthServerUnavailable)
    once, _, _ = await outcome(ApiRequest("GET", "/x", attempts=1), text_answer("", 503))
    assert len(once.asked) == 1


class Broken(httpx.AsyncBaseTransport):
    """A network that fails in one way."""

    def __init__(self, *failures: type[httpx.TransportError]) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)("ssk_secret")
        return httpx.Response(200, json={})


def broken(*failures: type[httpx.TransportError]) -> tuple[Broken, Transport]:
    network, time = Broken(*failures), FakeTime()
    return network, Transport("http://auth.test", 10, transport=network, sleep=time.sleep, clock=time.clock)


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_a_call_that_was_never_sent_is_repeated_whatever_it_does(failure: type[httpx.TransportError]):
    network, http = broken(failure, failure)
    await http.send_before_deadline(WRITE, {})
    assert network.calls == 3


@pytest.mark.parametrize("failure", [httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout, httpx.WriteError])
async def test_a_call_is_repeated_only_if_that_is_harmless(
    failure: type[httpx.TransportError],
):
    """A call that may have arrived is repeated only where that does no harm."""
    network, http = broken(failure)
    await http.send_before_deadline(READ, {})
    assert network.calls == 2
    network, http = broken(failure)
    with pytest.raises(AuthServerUnavailable):
        await http.send_before_deadline(WRITE, {})
    assert network.calls == 1


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.ConnectError, AuthServerUnreachable),
        (httpx.ReadError, AuthServerUnreachable),
        (httpx.ConnectTimeout, AuthServerTimeout),
        (httpx.ReadTimeout, AuthServerTimeout),
    ],
)
async def test_a_network_error_is_typed_and_names_the_operation(
    failure: type[httpx.TransportError], error: type[AuthServerUnavailable]
):
    """A failed network is a typed error that names the operation alone."""
    _, http = broken(*[failure] * 4)
    with pytest.raises(error) as caught:
        await http.send_before_deadline(ApiRequest("GET", "/users/{user_id}?code=s", ("u1",)), {})
    assert caught.value.operation == "GET /users/{user_id}"
    assert "ssk_secret" not in f"{caught.value} {caught.value!r}"
    assert caught.value.__context__ is None  # and so none of httpx's, which holds the request with its headers
    assert caught.value.response_status is None


async def test_refreshing_is_repeated_though_it_is_a_post():
    """The refresh token is not rotated (tokens.md §3)."""
    server = FakeServer([text_answer("", 503), json_response({"access_token": "a.b.c"})])
    assert (await make_client(server).refresh("r")).access_token == "a.b.c"
    server = FakeServer([text_answer("", 503), json_response({"access_token": "a.b.c"})])
    assert (await make_client(server).oauth.refresh("r")).access_token == "a.b.c"
