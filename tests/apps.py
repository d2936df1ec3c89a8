"""Small apps that tests call."""

from fastapi import APIRouter, FastAPI

from fastapi_stackauth import CurrentUser, OptionalUser, StackAuth, User

notes = APIRouter(prefix="/notes")


@notes.get("/mine")
async def mine(user: CurrentUser) -> User:
    return user


def make_app(stack: StackAuth) -> FastAPI:
    """An app with the body router, two endpoints of its own, and one behind an included router."""
    app = FastAPI(title="Test app")
    stack.install(app)
    app.include_router(stack.router(delivery="body"), prefix="/auth")
    app.include_router(notes, prefix="/v1")

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    @app.get("/hello")
    async def hello(user: OptionalUser) -> str:
        return user.id if user else "nobody"

    return app
