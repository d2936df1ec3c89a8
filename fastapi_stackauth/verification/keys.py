"""Step 2, pure: parse a key set into keys by id, and check signatures with a key.

python-jose parses the keys, and `cryptography` checks signatures. python-jose's pure-Python code leaks timing
(docs/security.md), and its `verify` treats any error as a wrong signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jose.backends.cryptography_backend import CryptographyECKey
from jose.exceptions import JOSEError

from fastapi_stackauth.verification.claims import ALGORITHM

_COORDINATE = 43  # characters of 32 bytes in unpadded base64url (RFC 7518 §6.2.1.2)
_SIGNATURE = 64  # bytes: r and s, 32 each (RFC 7518 §3.4)
_ES256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, eq=False)
class VerificationKey:
    """The public keys with one key id. During a rotation, a server may publish an id twice (tokens.md §2)."""

    key_id: str
    points: frozenset[tuple[str, str]] = field(repr=False)
    _keys: tuple[ec.EllipticCurvePublicKey, ...] = field(repr=False)

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether the signature is valid (ECDSA on P-256 with SHA-256, raw r and s)."""
        if len(signature) != _SIGNATURE:
            return False
        der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        for key in self._keys:
            try:
                key.verify(der, signing_input, _ES256)
            except InvalidSignature:
                continue
            return True
        return False


KeySet = Mapping[str, VerificationKey]


def read_key_set(document: object, previous: KeySet | None = None) -> KeySet:
    """Return the usable keys of a JSON Web Key Set and ignore all others (RFC 7517 §5).

    A key that is also in `previous` stays the same object, so that cached tokens remain tied to it.

    Raises:
        ValueError: The document contains no usable key.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    points: dict[str, set[tuple[str, str]]] = {}
    for entry in entries if isinstance(entries, list | tuple) else ():
        if _usable(entry):
            points.setdefault(entry["kid"], set()).add((entry["x"], entry["y"]))
    keys = {}
    for key_id, found in points.items():
        known = (previous or {}).get(key_id)
        key = known if known and known.points == found else _key(key_id, frozenset(found))
        if key is not None:
            keys[key_id] = key
    if not keys:
        raise ValueError("the key set holds no usable key")
    return keys


def _usable(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    kinds = entry.get("kty") == "EC" and entry.get("crv") == "P-256" and entry.get("alg", ALGORITHM) == ALGORITHM
    return (
        kinds
        and isinstance(entry.get("kid"), str)
        and _may_verify(entry)
        and all(_coordinate(entry.get(name)) for name in ("x", "y"))
    )


def _may_verify(entry: Mapping[str, object]) -> bool:
    """Whether `use` and `key_ops` allow the verification of signatures. A missing member allows it."""
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list | tuple) and "verify" in operations


def _coordinate(value: object) -> bool:
    return isinstance(value, str) and len(value) == _COORDINATE and value.isascii()


def _key(key_id: str, points: frozenset[tuple[str, str]]) -> VerificationKey | None:
    built = tuple(key for x, y in sorted(points) if (key := _build(x, y)))
    return VerificationKey(key_id, points, built) if built else None


def _build(x: str, y: str) -> ec.EllipticCurvePublicKey | None:
    jwk: dict[str, Any] = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    try:
        key: ec.EllipticCurvePublicKey = CryptographyECKey(jwk, ALGORITHM).prepared_key
    except (JOSEError, ValueError, TypeError):  # not base64, or not a point on the curve
        return None
    return key
