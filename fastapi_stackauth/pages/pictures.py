"""Pictures of users: convert uploads to data URLs, and allow a picture in the policy of the page that shows it.

Laws: the first bytes of an upload must be those of one of four raster formats, whatever its media type. It is read
within the limit of the body, and its data URL has at most the length that the auth server accepts.
"""

import base64
import re

from fastapi import Request

from fastapi_stackauth.errors import RequestInvalid
from fastapi_stackauth.http.bodies import KIB, read_form_with_file

FIELD = "profile_image_url"
MAX_PICTURE = 700_000
"""The maximum size of a picture in bytes. The auth server accepts a data URL of a million characters."""
MAX_UPLOAD = 1024 * KIB
"""The maximum size of the form in bytes, including its other parts. It is never written to a file."""
_FORMATS = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "gif": re.compile(rb"GIF8[79]a"),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
_ADDRESS = re.compile(r"(?P<origin>(?P<scheme>https?)://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?)/\S*")
_DATA_URL = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")


async def read_upload(request: Request) -> dict[str, str]:
    """Return the fields of a form, with the picture as a data URL.

    Raises:
        RequestInvalid: 400 if it is not a form. 422 if there is no picture, or if its format or size is not allowed.
    """
    fields, content = await read_form_with_file(request, FIELD)
    kind = next((name for name, start in _FORMATS.items() if start.match(content)), None)
    if kind is None or len(content) > MAX_PICTURE:
        raise RequestInvalid(((f"body.{FIELD}", "Must be a PNG, JPEG, GIF or WebP image of at most 700 KB"),))
    return {**fields, FIELD: f"data:image/{kind};base64,{base64.b64encode(content).decode()}"}


def find_origin(address: str, *, insecure: bool) -> str | None:
    """Return the origin that a policy must allow for a picture. Empty for a data URL, None if the page cannot show it.

    Args:
        address: The URL of the picture, which its user or another client chose.
        insecure: Whether http is allowed, because the page itself uses http.
    """
    if _DATA_URL.fullmatch(address):
        return ""
    match = _ADDRESS.fullmatch(address)
    if match is None or (match["scheme"] == "http" and not insecure):
        return None
    return match["origin"]
