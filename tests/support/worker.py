"""One worker of an app, for `uvicorn`: settings from the environment, an auth router and one protected route."""

from fastapi import FastAPI

from fastapi_stackauth import CurrentUser, StackAuth

stack = StackAuth()
app = FastAPI()
stack.install(app)
app.include_router(stack.router(delivery="body"), prefix="/auth")
app.include_router(stack.readiness("/ready"))


@app.get("/me")
async def me(user: CurrentUser) -> str:
    """Who is calling."""
    return user.id
