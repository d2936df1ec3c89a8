"""Bodies are bounded, and may be compressed where the profile's server reads that."""

import contextlib
import gzip
import json
import zlib
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth.emulator import NEWEST
from fastapi_stackauth.emulator.bodies import WINDOWS, decompress
from fastapi_stackauth.emulator.errors import KnownError, PlainError

from .api import PASSWORD, Api, assert_rejected

LIMIT = NEWEST.body_limit
SIGN_UP = json.dumps({"email": "ada@example.com", "password": PASSWORD}).encode()
ENCODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


async def post(api: Api, content: bytes, encoding: str | None = None) -> httpx.Response:
    """Sign up with a body as it stands."""
    headers = {**api.headers("client"), "content-type": "application/json"}
    if encoding is not None:
        headers["content-encoding"] = encoding
    return await api.http.post("/api/v1/auth/password/sign-up", content=content, headers=headers)


@pytest.mark.parametrize("encoding", ENCODERS)
async def test_a_compressed_body_is_read(api: Api, encoding: str) -> None:
    assert (await post(api, ENCODERS[encoding](SIGN_UP), encoding)).status_code == 200


async def test_in_april_the_encoding_was_ignored(april: Api) -> None:
    answer = await post(april, gzip.compress(SIGN_UP), "gzip")
    assert answer.json()["code"] == "BODY_PARSING_ERROR"
    assert (await post(april, SIGN_UP, "br")).status_code == 200


PACKED = gzip.compress(SIGN_UP, mtime=0)
DAMAGED = {
    "unknown": (SIGN_UP, "br"),
    "two": (SIGN_UP, "gzip, deflate"),
    "not packed": (SIGN_UP, "gzip"),
    "other": (PACKED, "deflate"),
    "cut off": (PACKED[:-1], "gzip"),
    "followed": (PACKED + b"x", "gzip"),
    "empty": (b"", "gzip"),
}


@pytest.mark.parametrize(("content", "encoding"), DAMAGED.values(), ids=DAMAGED)
async def test_a_body_that_is_not_encoded_as_it_says_is_400(api: Api, content: bytes, encoding: str) -> None:
    assert_rejected(await post(api, content, encoding), 400, "BODY_PARSING_ERROR")


@pytest.mark.parametrize("encoding", [None, "identity", "gzip", "deflate"])
async def test_a_body_that_is_too_long_is_413(api: Api, encoding: str | None) -> None:
    body = SIGN_UP + b" " * (LIMIT - len(SIGN_UP))
    encode = ENCODERS.get(encoding or "", bytes)
    assert (await post(api, encode(body), encoding)).status_code == 200
    answer = await post(api, encode(body + b" "), encoding)
    assert (answer.status_code, answer.text) == (413, "Request body too large")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_an_endless_body_is_not_read_to_its_end(api: Api) -> None:
    sent = 0

    async def chunks():
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    headers = {**api.headers("client"), "content-type": "application/json"}
    answer = await api.http.post("/api/v1/auth/password/sign-up", content=chunks(), headers=headers)
    assert answer.status_code == 413
    assert sent * 65536 <= LIMIT + 2 * 65536


@given(st.sampled_from(sorted(WINDOWS)), st.binary(max_size=300), st.integers(0, 300))
def test_what_is_unpacked_is_the_body_or_an_error(encoding: str, body: bytes, limit: int) -> None:
    packed = ENCODERS[encoding](body)
    if len(body) > limit:
        with pytest.raises(PlainError):
            decompress(packed, WINDOWS[encoding], limit)
    else:
        assert decompress(packed, WINDOWS[encoding], limit) == body


@given(st.sampled_from(sorted(WINDOWS)), st.binary(max_size=300))
def test_junk_never_crashes_the_reader(encoding: str, junk: bytes) -> None:
    with contextlib.suppress(KnownError, PlainError):
        assert len(decompress(junk, WINDOWS[encoding], 100)) <= 100
