"""A passkey authenticator in software: ES256, no attestation (WebAuthn level 2, sections 6 and 7)."""

import hashlib
import json
from typing import Any
from urllib.parse import urlsplit

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from fastapi_stackauth.emulator.keys import encode

PRESENT_AND_VERIFIED, WITH_CREDENTIAL = 0x05, 0x40


class Authenticator:
    """Holds one passkey. What it claims about origin, relying party and counter can be falsified."""

    def __init__(self, origin: str = "http://localhost:3000") -> None:
        self.origin, self.rp_id = origin, urlsplit(origin).hostname or ""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = b"credential-" + hashlib.sha256(str(id(self)).encode()).digest()[:8]
        self.count = 0

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _public_key(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        x, y = (part.to_bytes(32, "big") for part in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def register(self, challenge: str, kind: str = "webauthn.create") -> dict[str, Any]:
        """Return what `navigator.credentials.create` would, as JSON."""
        credential = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + self._public_key()
        data = self._data(PRESENT_AND_VERIFIED | WITH_CREDENTIAL) + credential
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {"clientDataJSON": self._client_data(kind, challenge), "attestationObject": attestation}
        return self._answer(response)

    def sign_in(self, challenge: str, kind: str = "webauthn.get") -> dict[str, Any]:
        """Return what `navigator.credentials.get` would, as JSON."""
        self.count += 1
        client_data, data = self._client_data(kind, challenge), self._data(PRESENT_AND_VERIFIED)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._answer({"clientDataJSON": client_data, "authenticatorData": data, "signature": signature})

    def _answer(self, response: dict[str, bytes]) -> dict[str, Any]:
        own_id = encode(self.credential_id)
        encoded = {name: encode(value) for name, value in response.items()}
        return {"id": own_id, "rawId": own_id, "type": "public-key", "response": encoded, "clientExtensionResults": {}}
