"""A forge of access tokens: any header, any claims, any signature. It shares no code with what it tests."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

BASE = "https://auth.test"
PROJECT = "291afd90-a248-44a9-bb80-2763f809da0f"
SUBJECT = "03a496f3-cc6f-45e9-81f8-a453f01d20e6"
SESSION = "2ef7535a-ad34-4570-a115-4390e8446d37"
NOW = 1_800_000_000
LIFETIME = 600
KINDS = ("normal", "restricted", "anonymous")
ISSUERS = {
    "normal": f"{BASE}/api/v1/projects/{PROJECT}",
    "restricted": f"{BASE}/api/v1/projects-restricted-users/{PROJECT}",
    "anonymous": f"{BASE}/api/v1/projects-anonymous-users/{PROJECT}",
}
AUDIENCES = {"normal": PROJECT, "restricted": f"{PROJECT}:restricted", "anonymous": f"{PROJECT}:anon"}
FLAGS: dict[str, dict[str, Any]] = {
    "normal": {"is_anonymous": False, "is_restricted": False, "restricted_reason": None},
    "restricted": {
        "is_anonymous": False,
        "is_restricted": True,
        "restricted_reason": {"type": "email_not_verified"},
    },
    "anonymous": {"is_anonymous": True, "is_restricted": True, "restricted_reason": {"type": "anonymous"}},
}
ABSENT = object()
"""As the value of a claim: leave it out."""


def b64(raw: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def segment(value: object) -> str:
    """A JSON value as a segment; bytes as they are."""
    return b64(value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode())


def claims(kind: str = "normal", **changes: Any) -> dict[str, Any]:
    """The claims of a good token of this kind, with changes."""
    good = {
        "sub": SUBJECT,
        "project_id": PROJECT,
        "branch_id": "main",
        "refresh_token_id": SESSION,
        "role": "authenticated",
        "name": "Ada Löwe",
        "email": "ada@example.com",
        "email_verified": kind == "normal",
        "selected_team_id": None,
        "signed_up_at": NOW - 86_400,
        "requires_totp_mfa": False,
        "iss": ISSUERS[kind],
        "aud": AUDIENCES[kind],
        "iat": NOW,
        "exp": NOW + LIFETIME,
        **FLAGS[kind],
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ABSENT}


@dataclass(frozen=True)
class Signer:
    """A P-256 key pair with a key id."""

    key_id: str = "key-1"
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def jwk(self) -> dict[str, str]:
        """The public half, as the auth server publishes it."""
        numbers = self.private.public_key().public_numbers()
        x, y = (b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.key_id, "x": x, "y": y}

    @property
    def pem(self) -> bytes:
        """The public half as PEM, as somebody would feed it to an HMAC."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form)

    def der(self, data: bytes) -> bytes:
        """A signature as ASN.1 DER."""
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))

    def raw(self, data: bytes) -> bytes:
        """A signature as JWS wants it: r and s, 32 bytes each."""
        r, s = decode_dss_signature(self.der(data))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header of a good token, with changes."""
        header = {"alg": "ES256", "kid": self.key_id, **changes}
        return {name: value for name, value in header.items() if value is not ABSENT}

    def compact(self, header: object, payload: object) -> str:
        """A truly signed compact JWS of any header and payload."""
        signed = f"{segment(header)}.{segment(payload)}"
        return f"{signed}.{b64(self.raw(signed.encode()))}"

    def token(self, kind: str = "normal", header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A good token of this kind, with changes to header and claims."""
        return self.compact(self.header(**(header or {})), claims(kind, **changes))


def key_set(*signers: Signer) -> dict[str, Any]:
    """A key set document."""
    return {"keys": [signer.jwk for signer in signers]}
