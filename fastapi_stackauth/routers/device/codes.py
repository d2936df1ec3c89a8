"""The pending sign-ins of devices, in the storage that the workers share.

Law: the storage contains no code in plain text. It has a MAC of the user code and a hash of the device code. The data
for fetching the tokens is encrypted with the device code, so that only the device can use it. Values are sealed, so
that other writers cannot forge them.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Literal

from jose import jwe
from jose.exceptions import JWEError
from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.client.resources.cli import LONGEST
from fastapi_stackauth.errors import RequestError
from fastapi_stackauth.runtime.storage import needing_storage, seal
from fastapi_stackauth.services import Services

CODE_SECONDS = LONGEST // timedelta(seconds=1)
"""Seconds that both codes are valid."""
INTERVAL = 5
"""Seconds between two requests of a device (RFC 8628 §3.2)."""
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""The letters of user codes: no vowels, so that they form no words (RFC 8628 §6.1)."""
HALF = 4
"""Letters before and after the hyphen of a user code."""
_REMEMBERED = 2 * CODE_SECONDS  # so that a device with an expired code gets the right error
_FETCHING = 60.0  # seconds after which another request may fetch the tokens, if a worker stopped in between
_EARLY = 1.0  # seconds by which a request may come too early, because networks vary

Decision = Literal["approved", "denied"]


class PendingDevice(BaseModel):
    """A device that waits for its user.

    Attributes:
        id: The hash of its device code.
        client_id: The name that it gave itself, which is not verified.
        address: The address that its request came from, if known.
        requested_at: The time of its request, in Unix seconds.
        login_code: The auth server's code for the browser.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    client_id: str
    address: str | None
    requested_at: float
    login_code: str = Field(repr=False)

    @property
    def expires_at(self) -> float:
        """When its codes expire, in Unix seconds."""
        return self.requested_at + CODE_SECONDS


class DeviceGrant(BaseModel):
    """The grant that belongs to a device code.

    Attributes:
        client_id: The client that requested it.
        expires_at: When it expires, in Unix seconds.
        polling_code: The auth server's polling code, encrypted with the device code.
        refresh_token: The session's refresh token, encrypted with the device code, once the auth server has issued it.
    """

    model_config = ConfigDict(frozen=True)

    client_id: str
    expires_at: float
    polling_code: str = Field(repr=False)
    refresh_token: str | None = Field(default=None, repr=False)


class DeviceCodes:
    """The codes of pending sign-ins. Without Redis, `VerificationUnavailable` is raised.

    Args:
        services: The services of the stack.
    """

    def __init__(self, services: Services) -> None:
        self._settings = services.settings
        self._storage = services.storage
        self._clock = services.clock

    # --- the device ---

    async def create(
        self, *, client_id: str, address: str | None, login_code: str, polling_code: str
    ) -> tuple[str, str]:
        """Return a new device code and its user code."""
        device_code, now = secrets.token_urlsafe(32), self._clock()
        user_code = await self._draw_user_code()
        device = PendingDevice(
            id=_hash(device_code),
            client_id=client_id,
            address=address,
            requested_at=now,
            login_code=encrypt(login_code, self._login_key(user_code)),
        )
        grant = DeviceGrant(
            client_id=client_id, expires_at=device.expires_at, polling_code=encrypt(polling_code, device_code)
        )
        await self.save_grant(device_code, grant)
        await self._set(self._user_code_key(user_code), device.model_dump_json(), CODE_SECONDS)
        return device_code, f"{user_code[:HALF]}-{user_code[HALF:]}"

    async def save_grant(self, device_code: str, grant: DeviceGrant) -> None:
        """Save the grant of a device code."""
        await self._set(f"device-grant:{_hash(device_code)}", grant.model_dump_json(), _REMEMBERED)

    async def find_grant(self, device_code: str, client_id: str) -> DeviceGrant:
        """Return the grant of a device code.

        Raises:
            RequestError: `invalid_grant`, `expired_token`, or `slow_down`.
        """
        stored = await self._get(f"device-grant:{_hash(device_code)}")
        grant = DeviceGrant.model_validate_json(stored) if stored else None
        if grant is None or grant.client_id != client_id:
            raise RequestError("invalid_grant")
        if not await self._claim(f"device-poll:{_hash(device_code)}", INTERVAL - _EARLY):
            raise RequestError("slow_down")
        if self._clock() >= grant.expires_at:
            raise RequestError("expired_token")
        return grant

    async def forget_grant(self, device_code: str) -> None:
        """Delete the grant of a device code."""
        await self._storage.remove(f"device-grant:{_hash(device_code)}")

    async def read_decision(self, device_code: str) -> Decision | None:
        """Return the user's decision, or None if there is none yet."""
        decision = await self._get(f"device-decision:{_hash(device_code)}")
        return "approved" if decision == "approved" else "denied" if decision else None

    async def claim_tokens(self, device_code: str) -> bool:
        """Return whether this request may fetch the tokens. Only one of several concurrent requests may."""
        return await self._claim(f"device-tokens:{_hash(device_code)}", _FETCHING)

    async def release_tokens(self, device_code: str) -> None:
        """Let another request fetch the tokens, because this one failed."""
        await self._storage.remove(f"device-tokens:{_hash(device_code)}")

    # --- the user ---

    async def find(self, user_code: str) -> PendingDevice:
        """Return the device with a user code.

        Raises:
            RequestError: 404 `user_code_invalid`.
        """
        stored = await self._get(self._user_code_key(user_code))
        if stored is None:
            raise RequestError("user_code_invalid")
        device = PendingDevice.model_validate_json(stored)
        return device.model_copy(update={"login_code": decrypt(device.login_code, self._login_key(user_code))})

    async def claim_decision(self, device: PendingDevice) -> None:
        """Claim the decision about a device, so that no other request makes it.

        Raises:
            RequestError: 404 `user_code_invalid`: The user has already decided, or another request is deciding.
        """
        if not await self._claim(f"device-decided:{device.id}", CODE_SECONDS):
            raise RequestError("user_code_invalid")

    async def release_decision(self, device: PendingDevice) -> None:
        """Let the user try again, because the decision could not be carried out."""
        await self._storage.remove(f"device-decided:{device.id}")

    async def decide(self, device: PendingDevice, user_code: str, decision: Decision) -> None:
        """Record the user's decision, and delete the user code."""
        await self._set(f"device-decision:{device.id}", decision, CODE_SECONDS)
        await self._storage.remove(self._user_code_key(user_code))

    # --- the storage ---

    async def _draw_user_code(self) -> str:
        """Return a user code that no pending device has."""
        while True:
            user_code = "".join(secrets.choice(LETTERS) for _ in range(2 * HALF))
            if await self._get(self._user_code_key(user_code)) is None:
                return user_code

    def _user_code_key(self, user_code: str) -> str:
        return "user-code:" + seal(self._settings, f"user-code\n{_letters(user_code)}")

    def _login_key(self, user_code: str) -> str:
        """Return the encryption key for a login code. It is not the name of the value, which the storage shows."""
        return seal(self._settings, f"login-code\n{_letters(user_code)}")

    async def _get(self, key: str) -> str | None:
        with needing_storage():
            stored = await self._storage.get(key, tolerant=False)
        proof, _, value = (stored or "").partition(" ")
        return value if hmac.compare_digest(proof.encode(), self._seal(key, value).encode()) else None

    async def _set(self, key: str, value: str, seconds: float) -> None:
        with needing_storage():
            await self._storage.set(key, f"{self._seal(key, value)} {value}", seconds, tolerant=False)

    def _seal(self, key: str, value: str) -> str:
        return seal(self._settings, f"device\n{key}\n{value}")

    async def _claim(self, key: str, seconds: float) -> bool:
        with needing_storage():
            return await self._storage.add(key, seconds)


def encrypt(text: str, secret: str) -> str:
    """Encrypt a secret of a device with its device code, or with a key derived from its user code (RFC 7516)."""
    key = hashlib.sha256(f"encrypt\n{secret}".encode()).digest()
    encrypted: bytes = jwe.encrypt(text, key, algorithm="dir", encryption="A256GCM")
    return encrypted.decode()


def decrypt(text: str, secret: str) -> str:
    """Decrypt what `encrypt` returned.

    Raises:
        RequestError: `invalid_grant`: The value in the storage is not valid.
    """
    key = hashlib.sha256(f"encrypt\n{secret}".encode()).digest()
    try:
        plain: bytes | None = jwe.decrypt(text, key)
    except JWEError:
        plain = None
    if plain is None:
        raise RequestError("invalid_grant")
    return plain.decode()


def _letters(user_code: str) -> str:
    return "".join(letter for letter in user_code.upper() if letter in LETTERS)


def _hash(device_code: str) -> str:
    return hashlib.sha256(device_code.encode("utf-8", "replace")).hexdigest()
