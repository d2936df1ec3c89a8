"""A user of the test's choosing, put in place of whoever calls."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from fastapi_stackauth.dependencies import current_user
from fastapi_stackauth.errors import AuthError
from fastapi_stackauth.models import User


@contextmanager
def override_user(app: FastAPI, user: User | None) -> Iterator[User | None]:
    """While the block runs, every request of this app comes from this user; from nobody where None.

    It reaches `current_user` and all that is derived from it: `optional_user`, `Require`, profiles, access tokens.
    An endpoint still gets its 401 or 403 where the user is not what it demands.

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
