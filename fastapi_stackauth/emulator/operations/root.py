"""The root of the API, which shows that the server is up."""

from starlette.responses import PlainTextResponse

from fastapi_stackauth.emulator.wire import ANYBODY, Call, operation


@operation("GET", "", access=ANYBODY)
async def welcome(call: Call) -> PlainTextResponse:
    """Return a welcome text with the caller's access type."""
    return PlainTextResponse(f"This is the Stack Auth emulator's API.\n\nAuthentication: {call.asker.access or 'none'}")
