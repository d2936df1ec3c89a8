"""The client and the emulator, which were written apart, agree."""

import asyncio
import base64
import time
from collections.abc import Iterator

import httpx
import pyotp
import pytest

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import (
    AccessTokenRejected,
    AuthServerMisconfigured,
    EmailAlreadyExists,
    EmailPasswordMismatch,
    KnownApiError,
    MfaRequired,
    PasskeyFailed,
    SessionEnded,
    SignInRequired,
    UnexpectedResponse,
    UserNotFound,
)
from fastapi_stackauth.models import (
    ContactChannelCreate,
    ContactChannelUpdate,
    CurrentUserUpdate,
    ServerUserCreate,
    ServerUserUpdate,
    SignIn,
    TokenPair,
)
from fastapi_stackauth.settings import Settings

PASSWORD, CALLBACK = "Correct-Horse-7", "http://localhost:3000/back"


@pytest.fixture(params=["newest", "april-2026"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    emulator = Emulator(profile=request.param, fast_hashes=True)
    yield emulator
    emulator.close()


def make_client(emulator: Emulator, *keys: str) -> StackAuthClient:
    values = {key: getattr(emulator, key) for key in keys}
    settings = Settings(project_id=emulator.project_id, base_url=emulator.url, **values)
    return StackAuthClient(settings, transport=httpx.ASGITransport(emulator.app))


@pytest.fixture
def client(emulator: Emulator) -> StackAuthClient:
    return make_client(emulator, "publishable_client_key", "secret_server_key")


async def ada(client: StackAuthClient) -> SignIn:
    return await client.password.sign_up(email="ada@example.com", password=PASSWORD)


async def test_sign_up_sign_in_refresh_and_sign_out(client: StackAuthClient):
    signed_up = await ada(client)
    signed_in = await client.password.sign_in(email="ada@example.com", password=PASSWORD)
    assert signed_in.user_id == signed_up.user_id
    user = client.as_user(signed_in.access_token)
    assert (await user.users.me()).primary_email == "ada@example.com"
    assert (await client.refresh(signed_in.refresh_token)).expires_at is not None
    assert [session.is_current_session for session in await user.sessions.list()].count(True) == 1
    await user.sessions.sign_out()
    await user.sessions.sign_out()
    with pytest.raises(SessionEnded):
        await client.refresh(signed_in.refresh_token)


async def test_refusals_are_typed(client: StackAuthClient):
    await ada(client)
    with pytest.raises(EmailAlreadyExists):
        await ada(client)
    with pytest.raises(EmailPasswordMismatch):
        await client.password.sign_in(email="ada@example.com", password="wrong-horse")
    with pytest.raises(KnownApiError, match=r"^PASSWORD_TOO_SHORT") as caught:
        await client.password.sign_up(email="bob@example.com", password="short")
    assert caught.value.details["min_length"] == 8
    with pytest.raises(AccessTokenRejected):
        await client.as_user("a.b.c").users.me()
    with pytest.raises(SignInRequired):
        await client.users.me()


async def test_a_wrong_key_is_the_app_s_fault(emulator: Emulator):
    settings = Settings(project_id=emulator.project_id, base_url=emulator.url, publishable_client_key="pck_wrong")
    with pytest.raises(AuthServerMisconfigured):
        await StackAuthClient(settings, transport=httpx.ASGITransport(emulator.app)).project.current()


@pytest.mark.parametrize("keys", [("publishable_client_key",), ("secret_server_key",), ()])
async def test_a_profile_is_the_same_whichever_key_it_is_read_with(emulator: Emulator, keys: tuple[str, ...]):
    client = make_client(emulator, *keys)
    signed_up = await ada(client)
    await (
        make_client(emulator, "secret_server_key")
        .as_server()
        .users.update(signed_up.user_id, ServerUserUpdate(server_metadata={"notes": "hidden"}))
    )
    user = client.as_user(signed_up.access_token)
    changed = await user.users.update_me(CurrentUserUpdate(display_name="Ada", client_metadata={"theme": "dark"}))
    assert (changed.display_name, changed.client_metadata) == ("Ada", {"theme": "dark"})
    profile = await user.users.me()
    assert profile == changed
    assert "server_metadata" not in profile.to_json()
    assert "hidden" not in repr(profile)


async def test_a_secret_key_alone_revokes_no_user_s_session(emulator: Emulator):
    client = make_client(emulator, "secret_server_key")
    first = await ada(client)
    second = await client.password.sign_up(email="bob@example.com", password=PASSWORD)
    (session,) = await client.as_user(second.access_token).sessions.list()
    with pytest.raises(UnexpectedResponse):
        await client.as_user(first.access_token).sessions.revoke(session.id)
    await client.refresh(second.refresh_token)


async def test_a_session_refreshes_itself_once_for_many_calls(emulator: Emulator, client: StackAuthClient):
    signed_up = await ada(client)
    stale = emulator.issue_token(user_id=signed_up.user_id, expires_in=-5)["access_token"]
    heard: list[TokenPair] = []
    session = client.session(
        TokenPair(access_token=stale, refresh_token=signed_up.refresh_token), on_tokens=heard.append
    )
    profiles = await asyncio.gather(*(session.users.me() for _ in range(10)))
    assert {profile.id for profile in profiles} == {signed_up.user_id}
    assert len(heard) == 1


async def test_codes_by_mail(emulator: Emulator, client: StackAuthClient):
    sent = await client.otp.send_sign_in_code(email="ada@example.com", callback_url=CALLBACK)
    code = emulator.emails(to="ada@example.com")[0]["code"]
    assert code.endswith(sent.nonce)
    await client.otp.check_code(code=code)
    assert (await client.otp.sign_in(code=code)).is_new_user
    with pytest.raises(KnownApiError, match=r"^VERIFICATION_CODE_ALREADY_USED"):
        await client.otp.sign_in(code=code)
    with pytest.raises(KnownApiError, match=r"^VERIFICATION_CODE_NOT_FOUND"):
        await client.otp.check_code(code="x" * 45)


async def test_a_forgotten_password(emulator: Emulator, client: StackAuthClient):
    signed_up = await ada(client)
    await client.password.send_reset_code(email="ada@example.com", callback_url=CALLBACK)
    code = emulator.emails(to="ada@example.com", kind="password_reset")[0]["code"]
    await client.password.check_reset_code(code=code)
    await client.password.reset(code=code, password="Another-Horse-8")
    with pytest.raises(SessionEnded):
        await client.refresh(signed_up.refresh_token)
    await client.password.sign_in(email="ada@example.com", password="Another-Horse-8")


async def test_a_second_factor(client: StackAuthClient):
    user = client.as_user((await ada(client)).access_token)
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    totp_secret = base64.b64encode(base64.b32decode(secret)).decode()
    await user.users.update_me(CurrentUserUpdate(totp_secret_base64=totp_secret))
    with pytest.raises(MfaRequired) as caught:
        await client.password.sign_in(email="ada@example.com", password=PASSWORD)
    attempt = caught.value.attempt_code
    assert attempt
    assert attempt not in f"{caught.value} {caught.value!r}"
    with pytest.raises(KnownApiError, match=r"^INVALID_TOTP_CODE"):
        await client.mfa.sign_in(attempt_code=attempt, totp="abcdef")
    now = pyotp.TOTP(secret).at(int(time.time()))
    assert (await client.mfa.sign_in(attempt_code=attempt, totp=now)).access_token


async def test_a_guest_keeps_their_id_when_they_sign_up(client: StackAuthClient):
    guest = await client.anonymous.sign_up()
    assert (await client.as_user(guest.access_token).users.me()).is_anonymous
    signed_up = await ada(client.as_user(guest.access_token))
    assert signed_up.user_id == guest.user_id


async def test_contact_channels(emulator: Emulator, client: StackAuthClient):
    user = client.as_user((await ada(client)).access_token)
    added = await user.contact_channels.create(ContactChannelCreate(value="two@example.com", used_for_auth=False))
    assert len(await user.contact_channels.list()) == 2
    await user.contact_channels.send_verification_code(added.id, callback_url=CALLBACK)
    code = emulator.emails(to="two@example.com")[0]["code"]
    await client.contact_channels.verify(code=code)
    assert (await user.contact_channels.get(added.id)).is_verified
    await user.contact_channels.update(added.id, ContactChannelUpdate(is_primary=True))
    assert (await user.users.me()).primary_email == "two@example.com"
    await user.contact_channels.delete(added.id)
    assert len(await user.contact_channels.list()) == 1


async def test_a_passkey_that_is_none(client: StackAuthClient):
    user = client.as_user((await ada(client)).access_token)
    challenge = await user.passkey.initiate_registration()
    assert challenge.options_json["challenge"]
    with pytest.raises(PasskeyFailed):
        await user.passkey.register(code=challenge.code, credential=a_credential())


def a_credential() -> dict[str, object]:
    client_data = "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIiwiY2hhbGxlbmdlIjoieCIsIm9yaWdpbiI6Imh0dHA6Ly9sb2NhbGhvc3QifQ"
    response = {"attestationObject": "o2NmbXRkbm9uZQ", "clientDataJSON": client_data}
    return {"id": "eA", "rawId": "eA", "type": "public-key", "clientExtensionResults": {}, "response": response}


async def test_users_as_server(client: StackAuthClient):
    server = client.as_server()
    for number in range(5):
        await server.users.create(
            ServerUserCreate(primary_email=f"u{number}@example.com", server_metadata={"n": number})
        )
    listed = [user async for user in server.users.list(limit=2)]
    assert len({user.id for user in listed}) == 5
    assert {str(user.server_metadata) for user in listed} == {str({"n": number}) for number in range(5)}
    assert [len(page.items) async for page in server.users.list(limit=2).pages()] == [2, 2, 1]
    one = await server.users.get(listed[0].id)
    assert one == listed[0]
    pair = await server.sessions.create(one.id)
    await server.users.delete(one.id)
    with pytest.raises(UserNotFound):
        await server.users.get(one.id)
    with pytest.raises(SignInRequired):
        await client.as_user(pair.access_token).users.me()
    with pytest.raises(SignInRequired):
        await client.as_user(pair.access_token).password.set(password=PASSWORD)
    await client.as_user(pair.access_token).sessions.sign_out()


async def test_a_user_list_is_complete_with_either_cursor(client: StackAuthClient):
    """A list of users is read to its end whatever its cursor means."""
    users = client.as_server().users
    made = {(await users.create(ServerUserCreate(display_name=str(number)))).id for number in range(5)}
    for limit in (1, 2, 5, 1000):
        seen = [user.id async for user in users.list(limit=limit)]
        assert (len(seen), set(seen)) == (5, made)


async def test_the_project_and_its_keys(client: StackAuthClient):
    assert (await client.project.current()).config.credential_enabled
    keys = await client.keys.fetch()
    assert isinstance(keys.document, dict)
    assert len(keys.document["keys"]) == 6
