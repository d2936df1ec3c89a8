"""An auth server that answers whatever bytes it is told: any status, any headers, any body."""

from collections.abc import Callable
from typing import Any

import httpx
from hypothesis import strategies as st

from tests.fuzz.strategies import JSON, NASTY, to_bytes

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 418, 429, 500, 503]) | st.integers(200, 599)
_CODES = st.sampled_from(
    ["USER_EMAIL_ALREADY_EXISTS", "MULTI_FACTOR_AUTHENTICATION_REQUIRED", "SCHEMA_ERROR", "PASSWORD_TOO_SHORT",
     "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", "ACCESS_TOKEN_EXPIRED", "INVALID_SECRET_SERVER_KEY", "USER_NOT_FOUND",
     "RESTRICTED_USER_NOT_ALLOWED", "TEAM_PERMISSION_REQUIRED", "BRAND_NEW", "invalid_grant"]
)  # fmt: skip
_NAMES = st.sampled_from(
    [b"x-stack-known-error", b"x-hexclave-known-error", b"x-stack-actual-status", b"x-stack-request-id",
     b"retry-after", b"date", b"content-type", b"content-encoding", b"location", b"cache-control", b"set-cookie"]
)  # fmt: skip
_VALUES = st.one_of(
    _CODES.map(str.encode),
    NASTY.map(lambda text: text.encode("latin-1", "replace")),
    st.binary(max_size=30),
    st.integers(-1, 1_000).map(lambda number: str(number).encode()),
    st.sampled_from(
        [b"gzip", b"br", b"identity, gzip", b"max-age=5", b"no-store", b"Tue, 24 Nov 2026 00:00:30 GMT",
         b"Tue, 99 Nov 99999 00:00:30 -9999", b"application/json; charset=utf-16", b"9" * 400]
    ),
)  # fmt: skip
HEADERS = st.lists(st.tuples(_NAMES, _VALUES), max_size=3)
_REFUSALS = st.builds(
    lambda code, details: {"code": code, "error": "words", "details": details}, _CODES, st.dictionaries(
        st.sampled_from(["min_length", "maxLength", "attempt_code", "message", "restricted_reason", "permission_id"]),
        JSON, max_size=2,
    ),
)  # fmt: skip
BODIES = st.one_of(
    JSON.map(to_bytes),
    _REFUSALS.map(to_bytes),
    st.builds(lambda code, value: to_bytes({"error": code, "code": value}), _CODES, JSON),
    st.binary(max_size=50),
    st.sampled_from([b"", b"[" * 5_000, b'{"a":' * 5_000, b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"9" * 5_000, b"{}x"]),
)
ANSWERS: st.SearchStrategy[Answer] = st.tuples(STATUSES, HEADERS, BODIES)


class RawServer:
    """Answers every request alike, or as a function of method and path says."""

    def __init__(self, answer: Answer | Callable[[str, str], Answer]) -> None:
        self.answer = answer
        self.transport = httpx.ASGITransport(self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = self.answer
        status, headers, body = answer(scope["method"], scope["path"]) if callable(answer) else answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
