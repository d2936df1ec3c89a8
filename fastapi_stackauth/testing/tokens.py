"""Signed access tokens of any kind, invalid ones, and the key set that verifies them, without an auth server.

The tokens have the claims of the real server's tokens (contract/tokens.md §1).
"""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from fastapi import FastAPI

from fastapi_stackauth.kinds import AUDIENCE_SUFFIXES, ISSUER_PATHS, TokenKind
from fastapi_stackauth.testing.stacks import stacks_under

LIFETIME = 600
_DAY = 86_400


class TokenFactory:
    """Creates access tokens like those of the auth server, and invalid ones for negative tests.

    Args:
        project_id: The project of the tokens. By default, a random one.
        base_url: The auth server in the tokens' issuer. No request is sent to it.
        branch_id: The project's branch.
        clock: Returns the Unix time in seconds.

    Example:
        >>> factory = TokenFactory()
        >>> with factory.trusted_by(app):
        ...     response = client.get("/me", headers={"authorization": f"Bearer {factory.token(sub='ada')}"})

    Without an app: `StackAuth(project_id=factory.project_id, base_url=factory.base_url, jwks=factory.key_set)`.
    """

    FAULTS: Final[Mapping[str, str]] = MappingProxyType(
        {
            "expired": "token_expired",
            "not_yet_valid": "token_not_yet_valid",
            "signature": "token_signature_invalid",
            "tampered": "token_signature_invalid",
            "unknown_key": "token_key_unknown",
            "unsigned": "token_algorithm_not_allowed",
            "hmac": "token_algorithm_not_allowed",
            "malformed": "token_malformed",
            "incomplete": "token_claims_missing",
            "issuer": "token_issuer_not_allowed",
            "audience": "token_audience_not_allowed",
            "project": "token_project_mismatch",
            "kind": "token_kind_mismatch",
        }
    )
    """The faults for `broken`, each with the code of the 401."""

    def __init__(
        self,
        project_id: str | None = None,
        *,
        base_url: str = "https://stackauth.test",
        branch_id: str = "main",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.project_id = project_id or str(uuid.uuid4())
        self.base_url = base_url.rstrip("/")
        self.branch_id = branch_id
        self.clock = clock
        self.key_id = uuid.uuid4().hex[:12]
        self._key, self._other_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def __repr__(self) -> str:
        return f"TokenFactory(project_id={self.project_id!r}, base_url={self.base_url!r})"

    @property
    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517 §5), for the setting `jwks`."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_encode(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.key_id, "x": x, "y": y}]}

    def claims(self, kind: TokenKind | str = TokenKind.NORMAL, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Return the claims of a valid token of this kind (``normal``, ``restricted``, ``anonymous``), with changes.

        Raises:
            ValueError: The kind is unknown.
        """
        kind, now = TokenKind(kind), int(self.clock())
        anonymous, normal = kind is TokenKind.ANONYMOUS, kind is TokenKind.NORMAL
        reason = "anonymous" if anonymous else "restricted_by_administrator"
        return {
            "sub": str(uuid.uuid4()),
            "project_id": self.project_id,
            "branch_id": self.branch_id,
            "refresh_token_id": str(uuid.uuid4()),
            "role": "authenticated",
            "name": None,
            "email": None if anonymous else "ada@example.com",
            "email_verified": not anonymous,
            "selected_team_id": None,
            "signed_up_at": now - _DAY,
            "is_anonymous": anonymous,
            "is_restricted": not normal,
            "restricted_reason": None if normal else {"type": reason},
            "requires_totp_mfa": False,
            "iss": f"{self.base_url}{ISSUER_PATHS[kind]}{self.project_id}",
            "aud": self.project_id + AUDIENCE_SUFFIXES[kind],
            "iat": now,
            "exp": now + LIFETIME,
            **changes,
        }

    def token(
        self,
        kind: TokenKind | str = TokenKind.NORMAL,
        *,
        expires_in: float = LIFETIME,
        **claims: Any,  # noqa: ANN401 - JSON
    ) -> str:
        """Return a valid token of this kind.

        Args:
            kind: ``normal``, ``restricted`` or ``anonymous``.
            expires_in: Seconds until it expires. An app rejects the token if this is less than minus `leeway` (-5).
            **claims: Claims that replace the default ones, such as `sub`, `email` or `requires_totp_mfa`.

        Raises:
            ValueError: The kind is unknown.
        """
        now = int(self.clock())
        times = {"exp": now + int(expires_in), "iat": now + min(0, int(expires_in) - LIFETIME)}
        return self.sign({**self.claims(kind), **times, **claims})

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Return a token with these claims and a valid signature. `header` replaces members of the default header."""
        return self._sign({"alg": "ES256", "kid": self.key_id, **(header or {})}, claims, self._key)

    def broken(self, fault: str, **claims: Any) -> str:  # noqa: ANN401 - JSON
        """Return a token that is valid except for one of the faults in `FAULTS`.

        Raises:
            ValueError: The fault is unknown.
        """
        makers: dict[str, Callable[[dict[str, Any]], str]] = {
            "signature": self._foreign,
            "tampered": self._tamper,
            "unknown_key": lambda good: self.sign(good, {"kid": "unknown"}),
            "unsigned": self._strip_signature,
            "hmac": self._hmac,
            "malformed": lambda good: self.sign(good) + "=",
        }
        if fault not in self.FAULTS:
            raise ValueError(f"a token can be broken in these ways: {', '.join(self.FAULTS)}")
        good = self.claims(**claims)
        return makers[fault](good) if fault in makers else self.sign(self._with_wrong_claims(fault, good))

    @contextmanager
    def trusted_by(self, app: FastAPI) -> Iterator[None]:
        """Make the app accept this factory's tokens and call no auth server, within the block.

        A check that needs the auth server, such as a permission, raises an error. Use `emulate` to test it.

        Raises:
            ConfigurationError: No `StackAuth` is installed on the app.
        """
        with ExitStack() as blocks:
            for stack in stacks_under(app):
                blocks.enter_context(
                    stack.reconfigure(
                        transport=_NoServer(),
                        clock=self.clock,
                        project_id=self.project_id,
                        branch_id=self.branch_id,
                        base_url=self.base_url,
                        issuers=(),
                        jwks=self.key_set,
                        redis_url=None,
                    )
                )
            yield

    # --- faults ---

    def _with_wrong_claims(self, fault: str, good: dict[str, Any]) -> dict[str, Any]:
        now = int(self.clock())
        elsewhere = str(uuid.uuid4())
        wrong: dict[str, dict[str, Any]] = {
            "expired": {"iat": now - _DAY, "exp": now - _DAY + LIFETIME},
            "not_yet_valid": {"iat": now + _DAY, "exp": now + _DAY + LIFETIME},
            "issuer": {"iss": f"https://elsewhere.test{ISSUER_PATHS[TokenKind.NORMAL]}{self.project_id}"},
            "audience": {"aud": elsewhere},
            "project": {"project_id": elsewhere},
            "kind": {"is_restricted": True},
            "incomplete": {"sub": None},
        }
        return {**good, **wrong[fault]}

    def _foreign(self, good: dict[str, Any]) -> str:
        return self._sign({"alg": "ES256", "kid": self.key_id}, good, self._other_key)

    def _tamper(self, good: dict[str, Any]) -> str:
        header, _, signature = self.sign(good).split(".")
        return f"{header}.{_segment({**good, 'sub': str(uuid.uuid4())})}.{signature}"

    def _strip_signature(self, good: dict[str, Any]) -> str:
        return f"{_segment({'alg': 'none', 'kid': self.key_id})}.{_segment(good)}."

    def _hmac(self, good: dict[str, Any]) -> str:
        """Return a token that is signed with the public key as a shared secret (RFC 8725 §2.1)."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        secret = self._key.public_key().public_bytes(serialization.Encoding.PEM, form)
        signed = f"{_segment({'alg': 'HS256', 'kid': self.key_id})}.{_segment(good)}"
        return f"{signed}.{_encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    @staticmethod
    def _sign(header: Mapping[str, Any], claims: Mapping[str, Any], key: ec.EllipticCurvePrivateKey) -> str:
        signed = f"{_segment(header)}.{_segment(claims)}"
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class _NoServer(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError(
            f"The app called the auth server ({request.method} {request.url.path}), but a TokenFactory has none. "
            "Use fastapi_stackauth.testing.emulate(app) for tests that need the auth server."
        )


def _segment(value: Mapping[str, Any]) -> str:
    return _encode(json.dumps(dict(value), separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
