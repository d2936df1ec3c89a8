"""Every check of the verifier on one token, each with its outcome. Pure: the clock and the keys are arguments.

Law: each check is the verifier's own function, run in the verifier's order, so the first one that fails is the code
that an app would answer. The token is never part of what comes out; claims about the person are masked unless asked.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.cli.texts import printable
from fastapi_stackauth.errors import AUTH_CODES, AuthError
from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.runtime.jws import decode_segment, read_object, split_token
from fastapi_stackauth.sessions.credentials import HeaderCredentials
from fastapi_stackauth.settings import origin_of
from fastapi_stackauth.verification.claims import TIME_CHECKS, Binding, check_binding, check_header, check_time
from fastapi_stackauth.verification.keys import KeySet

Status = Literal["pass", "fail", "not_checked"]
Verdict = Literal["accepted", "refused", "undecided"]

_HEADER_LINE = re.compile(
    r"(authorization|x-stack-access-token|x-hexclave-access-token|x-stack-auth)\s*:\s*", re.IGNORECASE
)
_PLAIN_CLAIMS = frozenset(
    {
        "iss", "aud", "iat", "exp", "nbf", "project_id", "branch_id", "branchId", "role", "is_anonymous",
        "is_restricted", "restricted_reason", "requires_totp_mfa", "email_verified", "primaryEmailVerified",
        "signed_up_at",
    }
)  # fmt: skip
_SHORTENED_CLAIMS = frozenset(
    {"sub", "refresh_token_id", "refreshTokenId", "selected_team_id", "selectedTeamId"}
)  # ids: their beginning tells two people apart, and names nobody
_SHORT = 8
_TOLD_BY_VALUE = ("project", "branch", "issued_at")  # the value says more than the reason
_NO_PROJECT = Binding("", "", {}, {})

_WHAT_TO_DO = {
    "authentication_required": "The SDK's bundle says that nobody is signed in: sign in first.",
    "credentials_malformed": "Give the token, the header's value or the whole header line, and nothing else.",
    "credentials_too_large": "This is no access token of the auth server: those have about 1,000 characters.",
    "token_malformed": "Give the access token whole, as it was issued. A refresh token is no access token.",
    "token_algorithm_not_allowed": "The auth server signs with ES256 alone: this token is not from it.",
    "token_key_unknown": "The token is from another project or server, or its key was replaced: sign in again.",
    "token_signature_invalid": "The token was changed after it was signed, or cut short: take it anew.",
    "token_claims_missing": "The auth server always sets these claims: this token is not from it.",
    "token_issuer_not_allowed": "If this is an address of your own auth server, add its origin to STACK_ISSUERS.",
    "token_audience_not_allowed": "Set STACK_PROJECT_ID to the project that the token is for, or take one of this "
    "project.",
    "token_project_mismatch": "Set STACK_PROJECT_ID and STACK_BRANCH_ID to those of the token, or take another token.",
    "token_kind_mismatch": "The auth server never issues such a token: it was made or changed elsewhere.",
    "token_expired": "Refresh it: access tokens live for minutes.",
    "token_not_yet_valid": "Set this machine's clock: it is behind the auth server's.",
}


class Check(BaseModel):
    """One check of the verifier."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The check.")
    status: Status = Field(description="`pass`, `fail` or `not_checked`.")
    code: str | None = Field(default=None, description="The code of the refusal that this failure means.")
    detail: str = Field(default="", description="What was found.")
    advice: str = Field(default="", description="What to do about a failure.")


class Explanation(BaseModel):
    """What the verifier makes of a token."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict = Field(
        description="`accepted`; `refused`; `undecided`: nothing failed, but not everything could be checked."
    )
    code: str | None = Field(
        default=None, description="The code that an app answers: that of the first check that failed."
    )
    kind: TokenKind | None = Field(default=None, description="The kind of user, where the checks for it passed.")
    checks: tuple[Check, ...] = Field(description="Every check, in the verifier's order.")
    header: Mapping[str, Any] = Field(default_factory=dict, description="The token's `alg` and `kid`.")
    claims: Mapping[str, Any] = Field(
        default_factory=dict, description="The claims; those about the person are masked unless asked for."
    )


@dataclass(frozen=True)
class Frame:
    """What a token is held against.

    Attributes:
        now: unix time in seconds.
        leeway: seconds by which clocks may differ.
        binding: the project; None where it is not known.
        keys: the keys; None where there are none at hand.
        no_keys: why not.
    """

    now: float
    leeway: float
    binding: Binding | None = None
    keys: KeySet | None = None
    no_keys: str = "no keys"


@dataclass
class _Reading:
    """What has been read of a token so far. Its repr shows nothing of it."""

    token: str = field(default="", repr=False)
    segments: list[str] = field(default_factory=list, repr=False)
    header: dict[str, Any] | None = field(default=None, repr=False)
    claims: dict[str, Any] | None = field(default=None, repr=False)
    signature: bytes | None = field(default=None, repr=False)
    passed: set[str] = field(default_factory=set)


def read_token(text: str) -> str | None:
    """The access token in a text: alone, after `Bearer`, in the SDK's bundle, or with the header line around it.

    It is read as an app reads the header (`credentials.py`); None where the text holds no credential.

    Raises:
        AuthError: `credentials_malformed` or `credentials_too_large`.
    """
    name, value = _as_header(text.strip())
    if not value:
        return None
    scope = {"type": "http", "headers": [(name.encode(), value.encode("utf-8", "surrogateescape"))]}
    credential = HeaderCredentials().read(scope)
    return credential.token if credential else None


def _as_header(text: str) -> tuple[str, str]:
    if line := _HEADER_LINE.match(text):
        return line[1].lower(), text[line.end() :]
    if text.startswith("{"):
        return "x-stack-auth", text
    if text.startswith(("stackauth_", "hexclave_")):
        return "authorization", f"Bearer {text}"
    if text.lower().split(maxsplit=1)[:1] == ["bearer"]:
        return "authorization", text
    return "x-stack-access-token", text


def explain(text: str, frame: Frame, *, show_claims: bool = False) -> Explanation:
    """What the verifier makes of the token in a text.

    Args:
        text: what `read_token` reads.
        frame: what the token is held against.
        show_claims: claims about the person as they are, instead of masked.
    """
    try:
        token = read_token(text)
    except AuthError as refusal:
        return _unreadable(refusal)
    if token is None:
        return _unreadable(AuthError("authentication_required"))
    reading = _Reading(token)
    checks = (Check(name="credential", status="pass", detail="read"), *_run(reading, frame))
    code = next((check.code for check in checks if check.status == "fail"), None)
    complete = all(check.status == "pass" for check in checks)
    binding, claims = frame.binding, reading.claims or {}
    kind = binding.issuers.get(claims["iss"]) if binding and "kind" in reading.passed else None
    return Explanation(
        verdict="refused" if code else "accepted" if complete else "undecided",
        code=code,
        kind=kind,
        checks=checks,
        header={name: (reading.header or {}).get(name) for name in ("alg", "kid")} if reading.header else {},
        claims=claims if show_claims else {name: _masked(name, value) for name, value in claims.items()},
    )


def _unreadable(refusal: AuthError) -> Explanation:
    return Explanation(verdict="refused", code=refusal.code, checks=(_failed("credential", refusal),))


def _masked(name: str, value: object) -> object:
    if name in _PLAIN_CLAIMS or value is None:
        return value
    return f"{value[:_SHORT]}…" if name in _SHORTENED_CLAIMS and isinstance(value, str) else "…"


# --- the checks, in the verifier's order -----------------------------------------------------------------


def _run(reading: _Reading, frame: Frame) -> Iterator[Check]:
    yield from _form(reading)
    yield from _signature(reading, frame)
    yield from _binding(reading, frame)
    yield from _time(reading, frame)


def _form(reading: _Reading) -> Iterator[Check]:
    def split() -> None:
        reading.segments = split_token(reading.token)

    def header() -> None:
        reading.header = read_object(reading.segments[0], "header")

    def payload() -> None:
        reading.claims = read_object(reading.segments[1], "payload")

    def signature() -> None:
        reading.signature = decode_segment(reading.segments[2])

    yield _outcome(reading, "form", split, detail="three segments")
    yield _after(reading, ["form"], "header", header, detail="canonical base64url, a JSON object")
    for name, error in check_header(reading.header or {}):
        yield _after(reading, ["header"], name, partial(_raise, error), detail=_of_header(name, reading))
    yield _after(reading, ["form"], "payload", payload, detail="canonical base64url, a JSON object")
    yield _after(reading, ["form"], "signature_form", signature, detail="canonical base64url")


def _of_header(name: str, reading: _Reading) -> str:
    if name == "extensions":
        return "no crit, no b64"
    member = {"algorithm": "alg", "key_id": "kid"}[name]
    return f"{member} {printable((reading.header or {}).get(member))}"


def _signature(reading: _Reading, frame: Frame) -> Iterator[Check]:
    keys, key_id = frame.keys, (reading.header or {}).get("kid")
    if keys is None:
        yield from (_unchecked(name, frame.no_keys) for name in ("key", "signature"))
        return

    def key() -> None:
        if key_id not in keys:
            raise AuthError(
                "token_key_unknown", reason=f"the key set has {', '.join(map(printable, sorted(keys)[:8]))}"
            )

    def signature() -> None:
        signed = reading.token[: reading.token.rindex(".")].encode("ascii")
        if not keys[str(key_id)].verify(signed, reading.signature or b""):
            raise AuthError("token_signature_invalid", reason="it does not fit that key")

    yield _after(reading, ["key_id"], "key", key, detail=f"one of {len(keys)} in the key set")
    needs = ["key", "payload", "signature_form"]
    yield _after(reading, needs, "signature", signature, detail="ES256, by that key")


def _binding(reading: _Reading, frame: Frame) -> Iterator[Check]:
    claims = reading.claims or {}
    binding = frame.binding or _NO_PROJECT
    for name, error in check_binding(claims, binding):
        if frame.binding is None and name != "required_claims":  # which rest on no project
            yield _unchecked(name, "no project id is set")
            continue
        needs = ["payload", "required_claims", "issuer", "audience"] if name == "kind" else ["payload"]
        told = _after(reading, needs, name, partial(_raise, error), detail=_of_claims(name, claims, binding))
        same_server = told.code == "token_issuer_not_allowed" and _of_our_server(claims, frame)
        yield told.model_copy(update={"advice": _WHAT_TO_DO["token_audience_not_allowed"]}) if same_server else told


def _of_our_server(claims: Mapping[str, Any], frame: Frame) -> bool:
    """Whether an issuer that is not accepted is another project at a server whose tokens are."""
    try:
        return frame.binding is not None and origin_of(claims["iss"]) in _origins(frame.binding)
    except (ValueError, TypeError, AttributeError, KeyError):
        return False


def _of_claims(name: str, claims: Mapping[str, Any], binding: Binding) -> str:
    told: dict[str, Callable[[], str]] = {
        "required_claims": lambda: "sub, iss, aud, exp, iat, branch_id",
        "issuer": lambda: _issuer(claims, binding),
        "audience": lambda: _audience(claims, binding),
        "project": lambda: _expected("project_id", claims.get("project_id"), binding.project_id),
        "branch": lambda: _expected("branch_id", claims.get("branch_id", claims.get("branchId")), binding.branch_id),
        "kind": lambda: str(binding.issuers.get(claims["iss"], "")) if isinstance(claims.get("iss"), str) else "",
    }
    return told[name]()


def _issuer(claims: Mapping[str, Any], binding: Binding) -> str:
    value, where = claims.get("iss"), " and ".join(_origins(binding))
    fits = isinstance(value, str) and value in binding.issuers
    return f"iss {printable(value)}" + ("" if fits else f", not project {printable(binding.project_id)} at {where}")


def _audience(claims: Mapping[str, Any], binding: Binding) -> str:
    value = claims.get("aud")
    fits = isinstance(value, str) and value in binding.audiences
    return f"aud {printable(value)}" + ("" if fits else f", not {printable(binding.project_id)}")


def _origins(binding: Binding) -> list[str]:
    return sorted({origin_of(issuer) for issuer in binding.issuers})


def _expected(name: str, value: object, wanted: str) -> str:
    return f"{name} {printable(value)}" + ("" if value in (None, wanted) else f", not {printable(wanted)}")


def _time(reading: _Reading, frame: Frame) -> Iterator[Check]:
    claims = reading.claims or {}
    known = "required_claims" in reading.passed
    checks = check_time(claims, frame.now, frame.leeway) if known else ((name, None) for name in TIME_CHECKS)
    for name, error in checks:
        detail = _of_time(name, claims, frame.now)
        yield _after(reading, ["required_claims"], name, partial(_raise, error), detail=detail)


def _of_time(name: str, claims: Mapping[str, Any], now: float) -> str:
    claim = {"expiry": "exp", "issued_at": "iat", "not_before": "nbf"}[name]
    value = claims.get(claim)
    if value is None:
        return f"no {claim}"
    try:
        moment = datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError, TypeError):
        return f"{claim} {printable(value)}"
    seconds = round(value - now)
    return f"{claim} {moment}, {abs(seconds)} s {'from now' if seconds >= 0 else 'ago'}"


# --- one check -------------------------------------------------------------------------------------------


def _after(reading: _Reading, needs: list[str], name: str, run: Callable[[], object], *, detail: str) -> Check:
    lacking = [need for need in needs if need not in reading.passed]
    return _unchecked(name, f"needs {lacking[0]}") if lacking else _outcome(reading, name, run, detail=detail)


def _outcome(reading: _Reading, name: str, run: Callable[[], object], *, detail: str) -> Check:
    try:
        run()
    except AuthError as refusal:
        told = detail if refusal.reason is None or name in _TOLD_BY_VALUE else ""
        return _failed(name, refusal, told)
    except ValueError as error:
        return _failed(name, AuthError("token_malformed", reason=str(error)))
    reading.passed.add(name)
    return Check(name=name, status="pass", detail=detail)


def _raise(error: AuthError | None) -> None:
    if error is not None:
        raise error


def _failed(name: str, refusal: AuthError, told: str = "") -> Check:
    detail = told or refusal.reason or AUTH_CODES[refusal.code][1]
    advice = _WHAT_TO_DO.get(refusal.code, "")
    return Check(name=name, status="fail", code=refusal.code, detail=detail, advice=advice)


def _unchecked(name: str, why: str) -> Check:
    return Check(name=name, status="not_checked", detail=why)
