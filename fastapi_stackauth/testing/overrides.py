"""Replace the caller of an app with any user."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from fastapi_stackauth.dependencies import current_user
from fastapi_stackauth.errors import AuthError
from fastapi_stackauth.models import User


@contextmanager
def override_user(app: FastAPI, user: User | None) -> Iterator[User | None]:
    """Make this user the caller of every request within the block. With None, no user is signed in.

    This applies to `current_user` and all dependencies based on it: `optional_user`, `Require`, profiles and access
    tokens. If the user does not meet the requirements of an endpoint, the response is still 401 or 403.

    Example:
        >>> with override_user(app, User(id="ada", email="ada@example.com")):
        ...     assert client.get("/me").json()["email"] == "ada@example.com"
    """
    before = app.dependency_overrides.get(current_user)

    def return_user() -> User:
        if user is None:
            raise AuthError("authentication_required")
        return user

    app.dependency_overrides[current_user] = return_user
    try:
        yield user
    finally:
        if before is None:
            app.dependency_overrides.pop(current_user, None)
        else:
            app.dependency_overrides[current_user] = before
