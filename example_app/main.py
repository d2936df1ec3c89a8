"""All there is to the integration: one `StackAuth`, one router, and dependencies on the endpoints that need a user."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from fastapi_stackauth import CurrentUser, OptionalUser, StackAuth, User

stack = StackAuth()  # project id, keys and addresses come from the environment: STACK_PROJECT_ID, STACK_APP_URL, ...

app = FastAPI(title="Example app", description="Sign-up, sign-in and protected endpoints with fastapi-stackauth.")
stack.install(app)  # error answers, cookie sessions, OpenAPI, the client's lifetime
app.include_router(stack.router(), prefix="/auth")  # for browsers: tokens in cookies that scripts cannot read
app.include_router(stack.router(delivery="body"), prefix="/api/auth")  # for mobile and command-line apps


class Greeting(BaseModel):
    """What to say to a visitor."""

    message: str = Field(description="The greeting.", examples=["Hello, Ada!"])


@app.get("/api/me", tags=["example"], summary="Who am I?")
async def me(user: CurrentUser) -> User:
    """The signed-in user, as their access token says. Without one: 401."""
    return user


@app.get("/api/hello", tags=["example"], summary="Greet whoever calls")
async def hello(user: OptionalUser) -> Greeting:
    """A greeting by name for who is signed in, and a general one for everybody else."""
    name = (user.display_name or user.email) if user else None
    return Greeting(message=f"Hello, {name}!" if name else "Hello, stranger!")


@app.get("/", include_in_schema=False)
async def page() -> RedirectResponse:
    """The one page."""
    return RedirectResponse("/static/index.html")


app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
