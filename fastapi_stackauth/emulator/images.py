"""Profile images from data URLs, which the emulator stores and serves itself.

Law: the first bytes of an image must be those of one of four raster formats, whatever the client states. The schema
limits the length of the data URL, and the table limits the number of images: a new one replaces the oldest.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from .errors import PlainError
from .server import Server
from .store.projects import Project

DATA_URL = re.compile(r"data:image/[a-z]+;base64,([A-Za-z0-9+/]+={0,2})")
WEB_URL = re.compile(r"https?://")
FORMATS = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "gif": re.compile(rb"GIF8[79]a"),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
PATH = "/emulator/images"


def image_columns(server: Server, project: Project, body: Mapping[str, Any], folder: str) -> dict[str, str | None]:
    """Return the column for a body's `profile_image_url`. A data URL becomes the URL of the stored image.

    Args:
        server: The server's parts.
        project: The project of the image.
        body: The body of the request, or an entry of a seed.
        folder: The folder of the image in its URL.

    Raises:
        PlainError: It is neither an http(s) URL nor a data URL of an image.
    """
    if "profile_image_url" not in body:
        return {}
    url = body["profile_image_url"]
    if url is None or WEB_URL.match(url):
        return {"profile_image_url": url}
    content = read_data_url(url)
    name = server.store.images.add(project.id, f"{server.chance.uuid()}.{detect_format(content)}", content)
    return {"profile_image_url": f"{server.public_url}{PATH}/{folder}/{name}"}


def is_usable(url: str | None) -> bool:
    """Return whether a profile image URL is None or may be stored."""
    try:
        return url is None or bool(WEB_URL.match(url)) or bool(read_data_url(url))
    except PlainError:
        return False


def read_data_url(url: str) -> bytes:
    """Return the bytes of a data URL of an image, or reject it."""
    match = DATA_URL.fullmatch(url)
    try:
        content = base64.b64decode(match[1], validate=True) if match else b""
    except binascii.Error:
        content = b""
    if detect_format(content) is None:
        raise PlainError(400, "Invalid profile image URL")
    return content


def detect_format(content: bytes) -> str | None:
    """Return the image format, judged by the first bytes, or None."""
    return next((name for name, start in FORMATS.items() if start.match(content)), None)


def add_images(app: FastAPI, server: Server) -> None:
    """Add the route for stored images to an app."""

    async def image(request: Request) -> Response:
        content = server.store.images.get(request.path_params["name"])
        if content is None:
            return PlainTextResponse("There is no such image.", 404)
        return Response(content, media_type=f"image/{detect_format(content)}")

    app.add_route(PATH + "/{folder}/{name}", image, methods=["GET"])
