"""Step 2, pure: check a token's form, its binding to this project and its times. The clock is an argument.

The form is checked first, then (in another module) the signature, then binding and times. The token's header never
selects an algorithm or a key: only ES256 is allowed, and keys in the token are ignored (RFC 8725 §3.1, §3.10). For the
claims, see contract/tokens.md §1.

Each `check_` generator yields its checks by name, in order. The verifier stops at the first error; `explain` shows all
of them.
"""

import binascii
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, NoReturn, TypeGuard

from pydantic_core import from_json, to_json

from fastapi_stackauth.errors import AuthError
from fastapi_stackauth.kinds import TokenKind

ALGORITHM = "ES256"
TIME_CHECKS = ("expiry", "issued_at", "not_before")
_MAX_KEY_ID = 256
_MAX_DEPTH = 64  # levels of nested JSON; the claims of real tokens have two
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/...")  # RFC 4648 §5; the decoder rejects the dot
_REQUIRED = ("sub", "iss", "aud", "exp", "iat")
_LATEST_TIME = 2**53  # not every JSON parser reads larger integers exactly (RFC 8259 §6)

Checks = Iterator[tuple[str, AuthError | None]]
"""The name of each check, and its error or None."""


@dataclass(slots=True)  # one is created for each token, and a frozen dataclass takes three times as long to create
class UnverifiedToken:
    """A well-formed token that has not been verified. Its repr shows only the key id."""

    key_id: str
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """The issuers and audiences that this project accepts, each with its kind of user."""

    project_id: str
    branch_id: str
    issuers: Mapping[str, TokenKind]
    audiences: Mapping[str, TokenKind]


def parse_token(token: str) -> UnverifiedToken:
    """Read a compact JWS (RFC 7515 §7.1) strictly.

    Raises:
        AuthError: `token_malformed` or `token_algorithm_not_allowed`.
    """
    try:
        header, payload, signature = split_token(token)
        key_id, claims = _key_id(header), read_object(payload, "payload")
        return UnverifiedToken(key_id, claims, token[: token.rindex(".")].encode("ascii"), decode_segment(signature))
    except ValueError as error:
        raise _malformed_error(str(error)) from None


@lru_cache(maxsize=64)  # all tokens signed with a key have the same header
def _key_id(segment: str) -> str:
    header = read_object(segment, "header")
    raise_first(check_header(header))
    return str(header["kid"])


def check_header(header: Mapping[str, Any]) -> Checks:
    """Check the required and the forbidden members of a header."""
    yield "algorithm", None if header.get("alg") == ALGORITHM else AuthError("token_algorithm_not_allowed")
    extended = "crit" in header or "b64" in header
    yield "extensions", _malformed_error("a critical extension in the header") if extended else None
    key_id = header.get("kid")
    usable = isinstance(key_id, str) and 0 < len(key_id) <= _MAX_KEY_ID and key_id.isprintable()
    yield "key_id", None if usable else _malformed_error("no usable kid")


def check_claims(claims: Mapping[str, Any], binding: Binding, now: float, leeway: float) -> TokenKind:
    """Check the claims of a token and return the kind of its user.

    Raises:
        AuthError: The first error of `check_binding`, or else of `check_time`.
    """
    raise_first(chain(check_binding(claims, binding), check_time(claims, now, leeway)))
    return binding.issuers[claims["iss"]]


def check_binding(claims: Mapping[str, Any], binding: Binding) -> Checks:
    """Check that a token was issued for this project.

    Issuer path, audience suffix and the claims `is_anonymous` and `is_restricted` must agree on the kind of user. Older
    spellings of claims are accepted (contract/version_drift.md A).
    """
    yield "required_claims", _missing_claims(claims)
    issuer, audience, project = claims.get("iss"), claims.get("aud"), claims.get("project_id")
    issuer_kind = binding.issuers.get(issuer) if isinstance(issuer, str) else None
    yield "issuer", None if issuer_kind else AuthError("token_issuer_not_allowed")
    audience_kind = binding.audiences.get(audience) if isinstance(audience, str) else None
    yield "audience", None if audience_kind else AuthError("token_audience_not_allowed")
    foreign = project is not None and project != binding.project_id
    yield "project", AuthError("token_project_mismatch", reason="another project") if foreign else None
    same_branch = claims.get("branch_id", claims.get("branchId")) == binding.branch_id
    yield "branch", None if same_branch else AuthError("token_project_mismatch", reason="another branch")
    yield "kind", _kind_mismatch(issuer_kind, audience_kind, claims)


def check_time(claims: Mapping[str, Any], now: float, leeway: float) -> Checks:
    """Check whether a token with the required claims is current at `now`. Clocks may differ by `leeway`.

    Both are in seconds, `now` since 1970.
    """
    yield "expiry", AuthError("token_expired") if now >= claims["exp"] + leeway else None
    early = claims["iat"] > now + leeway
    yield "issued_at", AuthError("token_not_yet_valid", reason="issued in the future") if early else None
    not_before = claims.get("nbf")
    error = None
    if not_before is not None and not is_time(not_before):
        error = _malformed_error("nbf is not a time in whole seconds")
    elif not_before is not None and not_before > now + leeway:
        error = AuthError("token_not_yet_valid")
    yield "not_before", error


def raise_first(checks: Iterable[tuple[str, AuthError | None]]) -> None:
    """Raise the error of the first check that fails."""
    for _, error in checks:
        if error is not None:
            raise error


def _malformed_error(reason: str) -> AuthError:
    return AuthError("token_malformed", reason=reason)


def _missing_claims(claims: Mapping[str, Any]) -> AuthError | None:
    missing = [name for name in _REQUIRED if claims.get(name) is None]
    if claims.get("branch_id", claims.get("branchId")) is None:
        missing.append("branch_id")
    return find_claims_error(claims, missing)


def find_claims_error(claims: Mapping[str, Any], missing: Sequence[str]) -> AuthError | None:
    """Return the error for missing required claims, or for a subject or a time of the wrong form."""
    if missing:
        return AuthError("token_claims_missing", reason=f"no {', '.join(missing)}")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        return _malformed_error("sub is not a string")
    wrong = next((name for name in ("exp", "iat") if not is_time(claims[name])), None)
    return _malformed_error(f"{wrong} is not a time in whole seconds") if wrong else None


def is_time(value: object) -> TypeGuard[int]:
    """Return whether a claim is a time in whole seconds that a float can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LATEST_TIME


def _kind_mismatch(issuer: TokenKind | None, audience: TokenKind | None, claims: Mapping[str, Any]) -> AuthError | None:
    anonymous = claims.get("is_anonymous", claims.get("role") == "anon")
    restricted = claims.get("is_restricted", anonymous)
    claimed = None  # also if the claims contradict each other
    if restricted is False and anonymous is False:
        claimed = TokenKind.NORMAL
    elif restricted is True and isinstance(anonymous, bool):
        claimed = TokenKind.ANONYMOUS if anonymous else TokenKind.RESTRICTED
    if issuer is audience is claimed:
        return None
    return AuthError("token_kind_mismatch", reason=f"issuer {issuer}, audience {audience}, claims {claimed}")


# --- the segments of a JSON Web Signature (RFC 7515 §2): one token has one spelling -----------------------
# Malformed input raises a `ValueError` with a message that contains no part of the token.


def split_token(token: str) -> list[str]:
    """Return header, payload and signature, still encoded."""
    segments = token.split(".")
    if len(segments) != 3:
        raise ValueError("not three segments")
    return segments


def decode_segment(segment: str) -> bytes:
    """Return the bytes of a segment in canonical unpadded base64url."""
    try:
        text = segment.encode("ascii").translate(_FROM_URL) + b"=" * (-len(segment) % 4)
        raw = binascii.a2b_base64(text, strict_mode=True)
        canonical = text.endswith(binascii.b2a_base64(raw[-(len(raw) % 3) :], newline=False))  # no bits left over
    except (binascii.Error, ValueError):
        canonical = False
    if not canonical:
        raise ValueError("a segment that is not canonical base64url")
    return raw


def read_object(segment: str, name: str) -> dict[str, Any]:
    """Return the JSON object of a segment; errors contain its `name`."""
    raw = decode_segment(segment)
    try:
        value = read_as_written(raw) or read_strictly(raw)
        if raw.count(b"{") + raw.count(b"[") > _MAX_DEPTH:
            _check_depth(value)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError(f"the {name} is not a proper JSON object")


def read_as_written(raw: bytes) -> object:
    """Return a JSON value if serializing it results in the same text, which rules out duplicate names; else None.

    Auth servers serialize tokens this way. This takes half the time of `read_strictly`, which reads all other texts.
    """
    try:
        value = from_json(raw, allow_inf_nan=False, cache_strings="keys")  # all tokens have the same names
        return value if to_json(value) == raw else None
    except ValueError:
        return None


def read_strictly(raw: bytes) -> object:
    """Return a JSON value; reject duplicate names, constants such as NaN, and lone surrogates."""
    value = _DECODER.decode(raw.decode("utf-8"))
    if b"\\ud" in raw or b"\\uD" in raw:
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a response cannot contain a lone surrogate
    return value


def _check_depth(value: object) -> None:
    """Reject deep nesting, which the parser accepts but freezing, hashing or serializing may not."""
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        containers = [
            each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
        ]
        level = [item for container in containers for item in container]
        if not level:
            return
    raise ValueError("too deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member name")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("beyond what a double can hold")  # JSON cannot represent infinity
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
