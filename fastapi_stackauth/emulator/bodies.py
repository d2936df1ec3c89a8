"""Read the body of a request up to a limit, and decompress it if the profile's server does that.

Law: memory use is bounded by the profile's limit, whatever the headers state or the body decompresses to.
"""

import zlib

from starlette.requests import Request

from .errors import KnownError, PlainError
from .server_profile import ServerProfile

WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


async def read_bytes(request: Request, profile: ServerProfile) -> bytes:
    """Return a request's body.

    Raises:
        KnownError: BODY_PARSING_ERROR, if the content encoding is unknown or does not match the body.
        PlainError: 413, if the body is longer than the profile's server allows, before or after decompression.
    """
    raw = await read_at_most(request, profile.body_limit)
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if not profile.reads_compressed_bodies or encoding in ("", "identity"):
        return raw
    if encoding not in WINDOWS:
        raise KnownError("BODY_PARSING_ERROR", "The content encoding of the body is not supported.")
    return decompress(raw, WINDOWS[encoding], profile.body_limit)


async def read_at_most(request: Request, limit: int) -> bytes:
    """Return a request's body without decompressing it.

    Raises:
        PlainError: 413, if it is longer than the limit.
    """
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        check_length(len(raw), limit)
    return bytes(raw)


def decompress(raw: bytes, window: int, limit: int) -> bytes:
    """Decompress a body that is a single gzip member or zlib stream.

    Raises:
        KnownError: BODY_PARSING_ERROR, if the body is damaged, incomplete, or something follows it.
        PlainError: 413, if it decompresses to more than the limit.
    """
    reader = zlib.decompressobj(window)
    try:
        body = reader.decompress(raw, limit + 1)
    except zlib.error:
        raise KnownError("BODY_PARSING_ERROR", "The body does not match its content encoding.") from None
    check_length(len(body), limit)
    if not reader.eof or reader.unused_data:
        raise KnownError("BODY_PARSING_ERROR", "The compressed body is incomplete or has trailing data.")
    return body


def check_length(length: int, limit: int) -> None:
    """Reject a body that is longer than the limit."""
    if length > limit:
        raise PlainError(413, "Request body too large")
