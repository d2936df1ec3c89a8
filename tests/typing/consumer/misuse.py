"""Mistakes that both checkers must report: an `ignore` that nothing needs is an error of its own.

Nothing is suppressed that a user should write.
"""

from fastapi_stackauth import Require, Settings, StackAuth, User
from fastapi_stackauth.models import ServerUserCreate
from fastapi_stackauth.testing import SyncClients

User()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
User(id="ada", mail="ada@example.com")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
User(id=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ServerUserCreate(primary_mail="a@b.c")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Settings(project="...")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Settings(timeout="soon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
StackAuth(projectid="...")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
StackAuth(error_format="xml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
StackAuth().router(delivery="header")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
StackAuth().router(include=["passwort"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
Require(max_age=600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Require(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def greet(user: User, sync_client: SyncClients) -> str:
    sync_client(by="post")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    user.claims["role"] = "admin"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    return user.display_name  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
