"""Step 2, pure: the form of a token, its binding to this project, its time. The clock is an argument.

Form comes first, then (elsewhere) the signature, then binding, then time. The token's header chooses nothing:
ES256 is pinned and keys are never taken from the token (RFC 8725 §3.1, §3.10). The claims: contract/tokens.md §1.

Checks stand in named lists, in their order: the verifier stops at the first that fails, `explain` runs them all.
"""

import binascii
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

from pydantic_core import from_json, to_json

from fastapi_stackauth.errors import AuthError
from fastapi_stackauth.kinds import TokenKind

ALGORITHM = "ES256"
MAX_KEY_ID = 256
MAX_DEPTH = 64  # of JSON; real claims nest twice
_LATEST_TIME = 2**53  # beyond it a JSON number is no exact integer everywhere (RFC 8259 §6)


@dataclass(slots=True)  # made for each token, and a frozen one takes three times as long to make
class UnverifiedToken:
    """A token of the right form, of which nothing is known to be true. Its repr shows the key id alone."""

    key_id: str
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """What ties a token to this project: the issuers and audiences it may name, each with its kind of user."""

    project_id: str
    branch_id: str
    issuers: Mapping[str, TokenKind]
    audiences: Mapping[str, TokenKind]


# --- form ------------------------------------------------------------------------------------------------


def parse_token(token: str) -> UnverifiedToken:
    """Read a compact JWS (RFC 7515 §7.1) strictly.

    Raises:
        AuthError: `token_malformed` or `token_algorithm_not_allowed`.
    """
    header, payload, signature = split_token(token)
    key_id = _key_id(header)
    claims = read_claims(payload)
    signing_input = token[: token.rindex(".")].encode("ascii")
    return UnverifiedToken(key_id, claims, signing_input, read_signature(signature))


def split_token(token: str) -> list[str]:
    """Header, payload and signature as they are written. Raises `AuthError`, as all checks of this file do."""
    segments = token.split(".")
    if len(segments) != 3:
        _malformed("not three segments")
    return segments


@lru_cache(maxsize=64)  # all tokens of a key have the same header
def _key_id(segment: str) -> str:
    header = read_header(segment)
    for _, check in HEADER_CHECKS:
        check(header)
    return str(header["kid"])


def read_header(segment: str) -> dict[str, Any]:
    """The header, of which nothing is known to be true."""
    return _json_object(_decode(segment), "header")


def read_claims(segment: str) -> dict[str, Any]:
    """The claims, of which nothing is known to be true."""
    return _json_object(_decode(segment), "payload")


def read_signature(segment: str) -> bytes:
    """The signature's bytes, however many they are."""
    return _decode(segment)


def _check_algorithm(header: Mapping[str, Any]) -> None:
    if header.get("alg") != ALGORITHM:
        raise AuthError("token_algorithm_not_allowed")


def _check_extensions(header: Mapping[str, Any]) -> None:
    if "crit" in header or "b64" in header:
        _malformed("a critical extension in the header")


def _check_key_id(header: Mapping[str, Any]) -> None:
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID or not key_id.isprintable():
        _malformed("no usable kid")


HEADER_CHECKS: tuple[tuple[str, Callable[[Mapping[str, Any]], None]], ...] = (
    ("algorithm", _check_algorithm),
    ("extensions", _check_extensions),
    ("key_id", _check_key_id),
)
"""What a header must be, in order."""


_FROM_URL = bytes.maketrans(b"-_+/=", b"+/...")  # RFC 4648 §5; the dot is in no alphabet, and so refused


def _decode(segment: str) -> bytes:
    """Canonical unpadded base64url only: one token, one spelling (RFC 7515 §2)."""
    try:
        text = segment.encode("ascii").translate(_FROM_URL) + b"=" * (-len(segment) % 4)
        raw = binascii.a2b_base64(text, strict_mode=True)
        canonical = text.endswith(binascii.b2a_base64(raw[-(len(raw) % 3) :], newline=False))  # no bits left over
    except (binascii.Error, ValueError):
        canonical = False
    if not canonical:
        _malformed("a segment that is not canonical base64url")
    return raw


def _json_object(raw: bytes, part: str) -> dict[str, Any]:
    try:
        value = _as_written(raw) or _read_strictly(raw)
        _check_depth(raw, value)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        _malformed(f"the {part} is not a proper JSON object")
    return value


def _as_written(raw: bytes) -> object:
    """What a text says that would be written again just like this, so that no name can stand in it twice; else None.

    That is how auth servers write. It takes half the time of strict reading, which all other texts are given.
    """
    try:
        value = from_json(raw, allow_inf_nan=False, cache_strings="keys")  # all tokens share the names
        return value if to_json(value) == raw else None
    except ValueError:
        return None


def _read_strictly(raw: bytes) -> object:
    value = _DECODER.decode(raw.decode("utf-8"))
    if b"\\ud" in raw or b"\\uD" in raw:
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate could not be answered later
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member name")
    return members


def _check_depth(raw: bytes, value: object) -> None:
    """Refuse what reading takes but freezing, hashing or writing it again would not: each has a stack of its own."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for container in level if isinstance(container, dict | list) for item in _items(container)]
        if not level:
            return
    raise ValueError("too deep")


def _items(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("beyond what a double can hold")  # it could not be written as JSON again
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _malformed(reason: str) -> NoReturn:
    raise AuthError("token_malformed", reason=reason)


# --- binding ---------------------------------------------------------------------------------------------

_REQUIRED = ("sub", "iss", "aud", "exp", "iat")


def bind(claims: Mapping[str, Any], binding: Binding) -> TokenKind:
    """Whether the claims tie the token to this project, and for what kind of user.

    Issuer path, audience suffix and the `is_anonymous`/`is_restricted` claims must name the same kind.
    Legacy spellings are read (contract/version_drift.md A).

    Raises:
        AuthError: `token_claims_missing`, `token_malformed`, `token_issuer_not_allowed`, `token_audience_not_allowed`,
            `token_project_mismatch`, `token_kind_mismatch`.
    """
    for _, check in BINDING_CHECKS:
        check(claims, binding)
    return binding.issuers[claims["iss"]]


def _check_present(claims: Mapping[str, Any], _: Binding) -> None:
    missing = [name for name in _REQUIRED if claims.get(name) is None]
    if _branch(claims) is None:
        missing.append("branch_id")
    if missing:
        raise AuthError("token_claims_missing", reason=f"no {', '.join(missing)}")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        _malformed("sub is not a string")
    for name in ("exp", "iat"):
        _check_time_form(claims[name], name)


def _check_time_form(value: object, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST_TIME:
        _malformed(f"{name} is not a time in whole seconds")


def _named(value: object, known: Mapping[str, TokenKind]) -> TokenKind | None:
    return known.get(value) if isinstance(value, str) else None


def _check_issuer(claims: Mapping[str, Any], binding: Binding) -> None:
    if _named(claims.get("iss"), binding.issuers) is None:
        raise AuthError("token_issuer_not_allowed")


def _check_audience(claims: Mapping[str, Any], binding: Binding) -> None:
    if _named(claims.get("aud"), binding.audiences) is None:
        raise AuthError("token_audience_not_allowed")


def _check_project(claims: Mapping[str, Any], binding: Binding) -> None:
    project = claims.get("project_id")
    if project is not None and project != binding.project_id:
        raise AuthError("token_project_mismatch", reason="another project")


def _check_branch(claims: Mapping[str, Any], binding: Binding) -> None:
    if _branch(claims) != binding.branch_id:
        raise AuthError("token_project_mismatch", reason="another branch")


def _check_kind(claims: Mapping[str, Any], binding: Binding) -> None:
    issuer_kind = _named(claims.get("iss"), binding.issuers)
    audience_kind = _named(claims.get("aud"), binding.audiences)
    claimed_kind = _claimed_kind(claims)
    if not issuer_kind is audience_kind is claimed_kind:
        kinds = f"issuer {issuer_kind}, audience {audience_kind}, claims {claimed_kind}"
        raise AuthError("token_kind_mismatch", reason=kinds)


def _branch(claims: Mapping[str, Any]) -> object:
    return claims.get("branch_id", claims.get("branchId"))


def _claimed_kind(claims: Mapping[str, Any]) -> TokenKind | None:
    """The kind that the claims name; None where they contradict themselves."""
    anonymous = claims.get("is_anonymous", claims.get("role") == "anon")
    restricted = claims.get("is_restricted", anonymous)
    if restricted is False:
        return TokenKind.NORMAL if anonymous is False else None
    if restricted is not True or not isinstance(anonymous, bool):
        return None
    return TokenKind.ANONYMOUS if anonymous else TokenKind.RESTRICTED


BINDING_CHECKS: tuple[tuple[str, Callable[[Mapping[str, Any], Binding], None]], ...] = (
    ("required_claims", _check_present),
    ("issuer", _check_issuer),
    ("audience", _check_audience),
    ("project", _check_project),
    ("branch", _check_branch),
    ("kind", _check_kind),
)
"""What ties a token to this project, in order. Those after the first may be run whatever the others found."""


# --- time ------------------------------------------------------------------------------------------------


def check_time(claims: Mapping[str, Any], now: float, leeway: float) -> None:
    """Whether the token is current at `now` (unix seconds), clocks differing by `leeway` seconds at most.

    Raises:
        AuthError: `token_expired`, `token_not_yet_valid`, `token_malformed`.
    """
    for _, check in TIME_CHECKS:
        check(claims, now, leeway)


def _check_expiry(claims: Mapping[str, Any], now: float, leeway: float) -> None:
    if now >= claims["exp"] + leeway:
        raise AuthError("token_expired")


def _check_issued(claims: Mapping[str, Any], now: float, leeway: float) -> None:
    if claims["iat"] > now + leeway:
        raise AuthError("token_not_yet_valid", reason="issued in the future")


def _check_not_before(claims: Mapping[str, Any], now: float, leeway: float) -> None:
    if (not_before := claims.get("nbf")) is not None:
        _check_time_form(not_before, "nbf")
        if not_before > now + leeway:
            raise AuthError("token_not_yet_valid")


TIME_CHECKS: tuple[tuple[str, Callable[[Mapping[str, Any], float, float], None]], ...] = (
    ("expiry", _check_expiry),
    ("issued_at", _check_issued),
    ("not_before", _check_not_before),
)
"""Whether a token is current, in order; for claims that have what is required."""
