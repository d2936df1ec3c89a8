"""Pictures of users: one that a form uploads becomes a data URL, and the policy of a page allows the one that it shows.

Laws: an upload is one of four raster formats by its first bytes, whatever the browser calls it. It is read within the
limit of the body, and its data URL has the length that the auth server accepts.
"""

import base64
import re

from fastapi import Request

from fastapi_stackauth.errors import RequestInvalid
from fastapi_stackauth.http.bodies import KIB, read_form_with_file

FIELD = "profile_image_url"
MAX_PICTURE = 700_000
"""Bytes of a picture: the auth server accepts a million characters of a data URL (contract/endpoints.json)."""
MAX_UPLOAD = 1024 * KIB
"""Bytes of the form, with its other parts. A body of this length is never written to a file."""
_FORMATS = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "gif": re.compile(rb"GIF8[79]a"),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
_ADDRESS = re.compile(r"(?P<origin>(?P<scheme>https?)://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?)/\S*")
_DATA_URL = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")


async def read_upload(request: Request) -> dict[str, str]:
    """Return the fields of a form, with its picture as a data URL.

    Raises:
        RequestInvalid: 400, it is not a form; 422, it has no picture, or another format, or one that is too large.
    """
    fields, content = await read_form_with_file(request, FIELD)
    kind = next((name for name, start in _FORMATS.items() if start.match(content)), None)
    if kind is None or len(content) > MAX_PICTURE:
        raise RequestInvalid(((f"body.{FIELD}", "Must be a PNG, JPEG, GIF or WebP image of at most 700 KB"),))
    return {**fields, FIELD: f"data:image/{kind};base64,{base64.b64encode(content).decode()}"}


def find_origin(address: str, *, insecure: bool) -> str | None:
    """Return what a policy must allow so that a page shows a picture; empty for a data URL, None if it cannot.

    Args:
        address: of the picture, which its user or another client chose.
        insecure: whether it may come by http, because the page does.
    """
    if _DATA_URL.fullmatch(address):
        return ""
    match = _ADDRESS.fullmatch(address)
    if match is None or (match["scheme"] == "http" and not insecure):
        return None
    return match["origin"]
