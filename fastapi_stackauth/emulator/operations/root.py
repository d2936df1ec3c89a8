"""The root of the API, which shows that the server is up."""

from starlette.responses import PlainTextResponse

from fastapi_stackauth.emulator.wire import ANYBODY, Call, operation


@operation("GET", "", access=ANYBODY)
async def welcome(call: Call) -> PlainTextResponse:
    """Say what this is, and with which access the caller came."""
    return PlainTextResponse(f"This is the Stack Auth emulator's API.\n\nAuthentication: {call.asker.access or 'none'}")
