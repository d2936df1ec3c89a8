"""A worker for `uvicorn`: a route behind authentication, one without, and one with a dependency that does nothing."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request

from fastapi_stackauth import CurrentUser, StackAuth

stack = StackAuth()
app = FastAPI()
stack.install(app)


@app.get("/plain")
async def plain() -> dict[str, str]:
    """Anybody."""
    return {"answer": "yes"}


async def _bare(request: Request) -> str:
    token = request.headers.get("authorization")
    if token is None:
        raise HTTPException(401)
    return token


@app.get("/bare")
async def bare(user: Annotated[str, Depends(_bare)]) -> dict[str, str]:
    """Whoever sends the header: no route behind a dependency can be quicker."""
    return {"answer": "yes"}


@app.get("/protected")
async def protected_route(user: CurrentUser) -> dict[str, str]:
    """Who is signed in."""
    return {"answer": "yes"}
