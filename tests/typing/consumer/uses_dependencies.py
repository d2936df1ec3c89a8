"""Every dependency in a route, with the type that the endpoint is given."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, assert_type

from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.security import SecurityScopes
from pydantic import BaseModel, SecretStr
from starlette.requests import HTTPConnection

from fastapi_stackauth import (
    AccessToken,
    ApiKeyTeam,
    ApiKeyUser,
    CurrentProfile,
    CurrentTeam,
    CurrentUser,
    CurrentUserProfile,
    DisplayUser,
    IdentifyUser,
    LoadProfile,
    OptionalUser,
    Profile,
    Require,
    RequireAccessToken,
    RequireTeam,
    RequireTeamApiKey,
    RequireUserApiKey,
    SessionCheck,
    SessionWatch,
    SignInMethods,
    StackAuth,
    Team,
    TokenKind,
    TotpEnrollment,
    User,
    WatchSession,
    access_token,
    api_key_team,
    api_key_user,
    current_profile,
    current_team,
    current_user,
    display_user,
    optional_user,
    sign_in_methods,
    totp_enrollment,
)

stack = StackAuth()
app = FastAPI()
stack.install(app)

Deleter = Annotated[User, Depends(Require(team_permission="posts:delete", team="team_id"))]
Fresh = Annotated[User, Depends(Require(max_age=timedelta(minutes=10), mfa=True, live=True))]
Anyone = Annotated[User, Depends(Require(allow_anonymous=True, allow_restricted=True, allow_api_key=True))]
Guest = Annotated[User | None, Depends(IdentifyUser(allow_anonymous=True, allow_restricted=True))]
Shown = Annotated[User | None, Depends(IdentifyUser(display_only=True))]
Selected = Annotated[Team, Depends(RequireTeam("selected", require=Require(verified_email=True)))]
Robot = Annotated[User, Depends(RequireUserApiKey(allow_anonymous=True, allow_restricted=True))]
RobotTeam = Annotated[Team, Depends(RequireTeamApiKey())]
Token = Annotated[SecretStr, Depends(RequireAccessToken(Require(allow_anonymous=True)))]


class Preferences(BaseModel):
    theme: str = "light"


MyProfile = Annotated[Profile[Preferences], Depends(LoadProfile(Preferences))]


@app.get("/me")
async def me(user: CurrentUser) -> User:
    assert_type(user, User)
    assert_type(user.email, str | None)
    assert_type(user.kind, TokenKind)
    return user


@app.get("/me/default")
async def me_by_default(user: User = Depends(current_user), guest: User | None = Depends(optional_user)) -> User:
    return guest or user


@app.get("/hello")
async def hello(user: OptionalUser, guest: Guest) -> str:
    assert_type(user, User | None)
    assert_type(guest, User | None)
    return user.id if user else "stranger"


@app.get("/navigation")
async def navigation(user: DisplayUser, same: Shown, other: User | None = Depends(display_user)) -> str:
    assert_type(user, User | None)
    assert_type(same, User | None)
    return stack.safe_return_to("/notes" if user or other else None, default="/")


@app.get("/guarded/{team_id}")
async def guarded_route(a: Deleter, b: Fresh, c: Anyone, d: Robot, team: CurrentTeam, selected: Selected) -> list[User]:
    assert_type(team, Team)
    assert_type(selected.display_name, str)
    return [a, b, c, d]


@app.get("/keys")
async def keys(user: ApiKeyUser, team: ApiKeyTeam, other: RobotTeam) -> User:
    assert_type(user, User)
    assert_type(team, Team)
    assert_type(other, Team)
    return user


@app.get("/profile")
async def profile(fresh: CurrentProfile, mine: MyProfile, token: AccessToken, same: Token) -> str:
    assert_type(fresh, CurrentUserProfile)
    assert_type(mine, Profile[Preferences])
    assert_type(mine.client_metadata, Preferences)
    assert_type(token, SecretStr)
    assert_type(await stack.client.as_user(same.get_secret_value()).users.me(), CurrentUserProfile)
    return mine.client_metadata.theme


@app.get("/pages")
async def pages(
    methods: Annotated[SignInMethods, Depends(sign_in_methods)],
    enrolment: Annotated[TotpEnrollment, Depends(totp_enrollment)],
) -> str:
    assert_type(methods.oauth_providers, tuple[str, ...])
    assert_type(methods.password, bool)
    return enrolment.uri


class Check:
    async def check(self, token: str, user: User) -> None: ...


CHECK: SessionCheck = Check()
Watched = Annotated[SessionWatch, Depends(WatchSession(every=30, require=Require(mfa=True), check=CHECK))]


@app.websocket("/feed")
async def feed(websocket: WebSocket, watch: Watched) -> None:
    await websocket.accept()
    async with watch:
        assert_type(watch.user, User)
        async for text in websocket.iter_text():
            assert_type(await watch.refresh(text), User)
    watch.end()


async def ticks() -> AsyncIterator[str]:
    yield "data: tick\n\n"


@app.get("/events")
async def events(watch: Watched) -> StreamingResponse:
    async for tick in watch.stream(ticks()):
        assert_type(tick, str)
    return StreamingResponse(watch.stream(ticks()), media_type="text/event-stream")


def fake_user() -> User:
    return User(id="ada")


app.dependency_overrides[current_user] = fake_user


async def called_directly(connection: HTTPConnection, scopes: SecurityScopes) -> None:
    assert_type(await current_user(connection, scopes), User)
    assert_type(await optional_user(connection, scopes), User | None)
    assert_type(await current_team(connection, scopes), Team)
    assert_type(await current_profile(connection, scopes), CurrentUserProfile)
    assert_type(await access_token(connection, scopes), SecretStr)
    assert_type(await api_key_user(connection, scopes), User)
    assert_type(await api_key_team(connection, scopes), Team)
    assert_type(await LoadProfile(Preferences)(connection, scopes), CurrentUserProfile)  # a Profile at run time
    assert_type(stack.safe_return_to(connection.query_params.get("return_to")), str)
    assert_type(await display_user(connection, scopes), User | None)
    assert_type(await stack.current_user(connection, scopes), User)
    assert_type(await stack.optional_user(connection, scopes), User | None)


LoadProfile(require=Require(mfa=True))
Profile[Preferences](id="ada", client_metadata=Preferences(theme="dark"))
SignInMethods(
    project_name="Demo",
    sign_up=True,
    password=True,
    otp=True,
    passkey=True,
    oauth_providers=("github",),
    account_deletion=True,
)
TotpEnrollment(secret="...", uri="otpauth://...")
