"""The root of the API, where a client may look whether it is there."""

from starlette.responses import PlainTextResponse

from fastapi_stackauth.emulator.wire import ANYBODY, Call, operation


@operation("GET", "", access=ANYBODY)
async def welcome(call: Call) -> PlainTextResponse:
    """Say what this is, and with which access the caller came."""
    return PlainTextResponse(f"This is the Stack Auth emulator's API.\n\nAuthentication: {call.asker.access or 'none'}")
