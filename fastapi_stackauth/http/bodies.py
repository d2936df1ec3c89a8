"""Limits for the request bodies of the library's own routes, and functions to read them.

The limit applies while a body is read, with or without a Content-Length. The newest FastAPI and Starlette have
`max_body_size`, but respond in plain text and raise an exception that is not public.
"""

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from fastapi_stackauth.errors import RequestError, RequestInvalid

KIB = 1024
SMALL = 16 * KIB
"""For routes that count attempts: an email address, a password, a code."""
MEDIUM = 64 * KIB
"""For all other routes."""
PICTURE = 1536 * KIB
"""For routes that accept a picture: a million characters of a data URL and the other fields."""
WEBHOOK = 4096 * KIB
"""For messages of the auth server, which contain whole users with their metadata."""
MAX_FIELDS = 100
"""The maximum number of fields in a form. No route has as many."""


def not_json() -> RequestInvalid:
    """Return the error for a body that is not valid JSON."""
    return RequestInvalid((("body", "Must be JSON"),), status_code=400)


async def read_body(request: Request, limit: int) -> Request:
    """Read the body, and return a request that contains it.

    Args:
        request: The request, with an unread body.
        limit: The maximum size of the body, in bytes.

    Raises:
        RequestError: 413. If the Content-Length is too large, nothing is read.
        RequestInvalid: 400, the client disconnected.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and float(declared) > limit:
        raise RequestError("request_too_large", details={"max_body_size": limit})
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise RequestError("request_too_large", details={"max_body_size": limit})
        return message

    bounded = Request(request.scope, receive)
    try:
        await bounded.body()
    except ClientDisconnect:  # like FastAPI, return 400 for an incomplete body, although no client reads it
        raise RequestInvalid(status_code=400) from None
    return bounded


async def read_form(request: Request) -> dict[str, str]:
    """Parse the body that `read_body` has read as a form without files. A body of another type has no fields.

    Starlette stores the form on the request, so FastAPI and dependencies use the same one. A part with a file is
    rejected before its content is read, so there is no temporary file.

    Raises:
        RequestInvalid: 400, the body is not a form, has a file, or has too many fields.
    """
    return _to_fields(await _parse_form(request, 0, "Must be a form without files"))


async def read_form_with_file(request: Request, name: str) -> tuple[dict[str, str], bytes]:
    """Parse the body that `read_body` has read as a form that may have one file.

    Args:
        request: The request.
        name: The name of the file's field.

    Returns:
        The other fields and the content of the file, which is empty if there is none.

    Raises:
        RequestInvalid: 400, the body is not a form, has more files, or has too many fields.
    """
    form = await _parse_form(request, 1, "Must be a form with one file")
    file = form.get(name)
    content = await file.read() if isinstance(file, UploadFile) else b""
    await form.close()
    return _to_fields(form), content


async def _parse_form(request: Request, files: int, expected: str) -> FormData:
    size = len(await request.body())
    try:
        return await request.form(max_files=files, max_fields=MAX_FIELDS, max_part_size=size)
    except (HTTPException, FormParserError, UnicodeError):  # Starlette's, its parser's, and that for unknown charsets
        raise RequestInvalid((("body", expected),), status_code=400) from None


def _to_fields(form: FormData) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}
