"""Signing keys and JWS: only ES256, with a pair of keys per audience, derived from the server's secret.

Law: pure. The derivation is that of the real server (contract/tokens.md section 2), so the same secret results in the
same keys. The first key, with the old derivation, signs.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ALGORITHM = ec.ECDSA(SHA256())
SUFFIXES: Final = {"normal": "", "restricted": ":restricted", "anonymous": ":anon"}
ISSUERS: Final = {
    "normal": "projects",
    "restricted": "projects-restricted-users",
    "anonymous": "projects-anonymous-users",
}


class BadToken(Exception):
    """A token that this server did not sign."""


@dataclass(frozen=True, repr=False)
class SigningKey:
    """A P-256 private key with the id it has in the key set."""

    kid: str
    private: ec.EllipticCurvePrivateKey

    def jwk(self) -> dict[str, str]:
        """Return the public half as a JSON Web Key (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        x, y = (encode(part.to_bytes(32, "big")) for part in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.kid, "x": x, "y": y}


def encode(raw: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of canonical base64url; raise BadToken for any other text."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise BadToken from None
    if encode(raw) != text:
        raise BadToken
    return raw


def digest(value: object) -> str:
    """Return the base64url SHA-256 of a value's compact JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return encode(hashlib.sha256(text.encode()).digest())


def signing_key(secret: str, kid: str) -> SigningKey:
    """Return the key with the hash of a derived secret as its scalar (out of range once in 2^32 secrets)."""
    scalar = int.from_bytes(hashlib.sha256(decode(secret)).digest(), "big")
    return SigningKey(kid[:12], ec.derive_private_key(scalar, ec.SECP256R1()))


@lru_cache(maxsize=512)
def audience_keys(server_secret: str, audience: str) -> tuple[SigningKey, SigningKey]:
    """Return an audience's two keys; the first one signs."""
    old = digest([server_secret, audience])
    new = digest(["stack-jwk-audience-secret", server_secret, {"audience": audience}])
    new_kid = digest(["stack-jwk-kid", server_secret, {"audience": audience}])
    return signing_key(old, digest([old, "kid"])), signing_key(new, new_kid)


def key_set(server_secret: str, project_id: str, kinds: list[str]) -> list[dict[str, str]]:
    """Return the public keys for these kinds of users, two for each kind."""
    audiences = [project_id + SUFFIXES[kind] for kind in kinds]
    return [key.jwk() for audience in audiences for key in audience_keys(server_secret, audience)]


def sign(server_secret: str, claims: dict[str, Any]) -> str:
    """Return the claims as a compact JWS, signed with the key of their audience."""
    key = audience_keys(server_secret, claims["aud"])[0]
    head = {"alg": "ES256", "kid": key.kid}
    signed = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    r, s = decode_dss_signature(key.private.sign(signed.encode(), ALGORITHM))
    return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def read_json(segment: str) -> dict[str, Any]:
    """Return a segment's JSON object; raise BadToken for anything else."""
    try:
        value = json.loads(decode(segment))
    except (ValueError, RecursionError):
        raise BadToken from None
    if not isinstance(value, dict):
        raise BadToken
    return value


def verify(server_secret: str, token: str) -> dict[str, Any]:
    """Return the claims of a token that this server signed. The token may be expired.

    Raises:
        BadToken: The form, algorithm, key or signature is wrong.
    """
    parts = token.split(".")
    if len(parts) != 3:  # header, claims, signature
        raise BadToken
    head, claims = read_json(parts[0]), read_json(parts[1])
    keys = [key for key in audience_keys(server_secret, str(claims.get("aud"))) if key.kid == head.get("kid")]
    if head.get("alg") != "ES256" or not keys:
        raise BadToken
    check_signature(keys[0], f"{parts[0]}.{parts[1]}", decode(parts[2]))
    return claims


def check_signature(key: SigningKey, signed: str, signature: bytes) -> None:
    """Raise BadToken unless the key made this signature of the text."""
    if len(signature) != 64:  # two integers of 32 bytes (RFC 7518 section 3.4)
        raise BadToken
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key.private.public_key().verify(encode_dss_signature(r, s), signed.encode(), ALGORITHM)
    except InvalidSignature:
        raise BadToken from None
