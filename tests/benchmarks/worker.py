"""A worker for `uvicorn`: one route behind authentication and one without, settings from the environment."""

from fastapi import FastAPI

from fastapi_stackauth import CurrentUser, StackAuth

stack = StackAuth()
app = FastAPI()
stack.install(app)


@app.get("/plain")
async def plain() -> dict[str, str]:
    """Anybody."""
    return {"answer": "yes"}


@app.get("/protected")
async def protected(user: CurrentUser) -> dict[str, str]:
    """Who is signed in."""
    return {"answer": "yes"}
