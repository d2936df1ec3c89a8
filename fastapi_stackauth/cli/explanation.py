"""Run all of the verifier's checks on one token. Pure: the clock and the keys are arguments.

Law: each check is the verifier's own function, run in the verifier's order, so the first one that fails is the code
that an app would return. The output never contains the token; personal claims are masked unless requested.
"""

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.cli.report import printable
from fastapi_stackauth.errors import AUTH_CODES, AuthError
from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.sessions.credentials import HeaderCredentials
from fastapi_stackauth.settings import to_origin
from fastapi_stackauth.verification.claims import (
    TIME_CHECKS,
    Binding,
    check_binding,
    check_header,
    check_time,
    decode_segment,
    read_object,
    split_token,
)
from fastapi_stackauth.verification.keys import KeySet

Status = Literal["pass", "fail", "not_checked"]
Verdict = Literal["accepted", "rejected", "undecided"]

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
)  # ids: the first characters distinguish users without identifying them
_SHORT = 8
_DETAIL_SHOWS_VALUE = ("project", "branch", "issued_at")  # the value is more useful than the reason of the error

_NO_PROJECT = Binding("", "", {}, {})
_UNCHECKED_TIMES: Iterable[tuple[str, AuthError | None]] = tuple((name, None) for name in TIME_CHECKS)
_Value = TypeVar("_Value")

_WHAT_TO_DO = {
    "authentication_required": "The SDK's bundle contains no token. Sign in first.",
    "credentials_malformed": "Pass only the token, the value of the header, or the complete header line.",
    "credentials_too_large": "This is not an access token of the auth server, which has about 1,000 characters.",
    "token_malformed": "Pass the whole access token. A refresh token is not an access token.",
    "token_algorithm_not_allowed": "The auth server only signs with ES256, so it did not issue this token.",
    "token_key_unknown": "The token is from another project or server, or its key was rotated. Sign in again.",
    "token_signature_invalid": "The token was modified after signing, or truncated. Copy it again.",
    "token_claims_missing": "The auth server always sets these claims, so it did not issue this token.",
    "token_issuer_not_allowed": "If this is a URL of your own auth server, add its origin to STACK_ISSUERS.",
    "token_audience_not_allowed": "Set STACK_PROJECT_ID to the project that the token is for, or use a token of this "
    "project.",
    "token_project_mismatch": "Set STACK_PROJECT_ID and STACK_BRANCH_ID to those of the token, or use another token.",
    "token_kind_mismatch": "The auth server never issues such a token: it was forged or changed.",
    "token_expired": "Refresh it. Access tokens expire within minutes.",
    "token_not_yet_valid": "Correct this machine's clock, which is behind the auth server's.",
}


class Check(BaseModel):
    """One of the verifier's checks, and its result."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="The name of the check.")
    status: Status = Field(description="`pass`, `fail` or `not_checked`.")
    code: str | None = Field(default=None, description="The error code for this failure.")
    detail: str = Field(default="", description="What was found.")
    advice: str = Field(default="", description="What to do about a failure.")


class Explanation(BaseModel):
    """The result of all checks on a token."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict = Field(
        description="`accepted`; `rejected`; `undecided`: nothing failed, but not everything could be checked."
    )
    code: str | None = Field(
        default=None, description="The error code that an app would return, from the first failed check."
    )
    kind: TokenKind | None = Field(default=None, description="The kind of user. Null if the check `kind` did not pass.")
    checks: tuple[Check, ...] = Field(description="All checks, in the order in which the verifier runs them.")
    header: Mapping[str, Any] = Field(default_factory=dict, description="The token's `alg` and `kid`.")
    claims: Mapping[str, Any] = Field(
        default_factory=dict, description="The claims; personal ones are masked unless requested."
    )


@dataclass(frozen=True)
class Frame:
    """The values that the checks compare with a token.

    Attributes:
        now: The current Unix time in seconds.
        leeway: How many seconds the clocks may differ.
        binding: What the project accepts. None if the project is unknown.
        keys: The public keys. None if none are available.
        no_keys: Why no keys are available.
    """

    now: float
    leeway: float
    binding: Binding | None = None
    keys: KeySet | None = None
    no_keys: str = "no keys"


def explain(text: str, frame: Frame, *, show_claims: bool = False) -> Explanation:
    """Run the verifier's checks on the token in a text.

    Args:
        text: An access token alone, after `Bearer`, in the SDK's bundle, or in a complete header line.
        frame: The values to compare with the token.
        show_claims: Show claims about the user instead of masking them.
    """
    try:
        token = _read_token(text)
    except AuthError as error:
        return Explanation(verdict="rejected", code=error.code, checks=(_fail_check("credential", error),))
    checks = _Checks()
    header, claims = checks.run(token, frame)
    code = next((check.code for check in checks.done if check.status == "fail"), None)
    complete = all(check.status == "pass" for check in checks.done)
    return Explanation(
        verdict="rejected" if code else "accepted" if complete else "undecided",
        code=code,
        kind=frame.binding.issuers.get(claims["iss"]) if frame.binding and checks.has_passed("kind") else None,
        checks=tuple(checks.done),
        header={name: header.get(name) for name in ("alg", "kid")} if header else {},
        claims=claims if show_claims else {name: _mask(name, value) for name, value in claims.items()},
    )


def _read_token(text: str) -> str:
    """Read the token in the same way as an app reads its header (`credentials.py`)."""
    name, value = _to_header(text.strip())
    headers = [(name.encode(), value.encode("utf-8", "surrogateescape"))]
    credential = HeaderCredentials().read({"type": "http", "headers": headers}) if value else None
    if credential is None:
        raise AuthError("authentication_required")
    return credential.token


def _to_header(text: str) -> tuple[str, str]:
    if line := _HEADER_LINE.match(text):
        return line[1].lower(), text[line.end() :]
    if text.startswith("{"):
        return "x-stack-auth", text
    if text.startswith(("stackauth_", "hexclave_")):
        return "authorization", f"Bearer {text}"
    if text.lower().split(maxsplit=1)[:1] == ["bearer"]:
        return "authorization", text
    return "x-stack-access-token", text


def _mask(name: str, value: object) -> object:
    if name in _PLAIN_CLAIMS or value is None:
        return value
    return f"{value[:_SHORT]}…" if name in _SHORTENED_CLAIMS and isinstance(value, str) else "…"


# --- the checks, in the verifier's order -----------------------------------------------------------------


class _Checks:
    """Runs the checks on a token and stores their results."""

    def __init__(self) -> None:
        self.done = [Check(name="credential", status="pass", detail="read")]

    def run(self, token: str, frame: Frame) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run all checks that can run. Return header and claims, which are empty if they cannot be decoded."""
        segments = self._try("form", lambda: split_token(token), "three segments") or []
        form = "canonical base64url, a JSON object"
        header = self._try("header", lambda: read_object(segments[0], "header"), form, "form") or {}
        for name, error in check_header(header):
            self._add(name, error, _header_detail(name, header), "header")
        claims = self._try("payload", lambda: read_object(segments[1], "payload"), form, "form") or {}
        signature = self._try("signature_form", lambda: decode_segment(segments[2]), "canonical base64url", "form")
        self._check_signature(token, header.get("kid"), signature or b"", frame)
        self._check_binding(claims, frame.binding)
        known = self.has_passed("required_claims")
        for name, error in check_time(claims, frame.now, frame.leeway) if known else _UNCHECKED_TIMES:
            self._add(name, error, _time_detail(name, claims, frame.now), "required_claims")
        return header, claims

    def has_passed(self, name: str) -> bool:
        return any(check.name == name and check.status == "pass" for check in self.done)

    def _check_signature(self, token: str, key_id: object, signature: bytes, frame: Frame) -> None:
        keys, names = frame.keys, ("key", "signature")
        if keys is None:
            self.done += (_skip_check(name, frame.no_keys) for name in names)
            return
        reason = f"the key set has {', '.join(map(printable, sorted(keys)[:8]))}"
        error = None if key_id in keys else AuthError("token_key_unknown", reason=reason)
        self._add("key", error, f"one of {len(keys)} in the key set", "key_id")
        needs = ("key", "payload", "signature_form")
        signed = token.rpartition(".")[0].encode("ascii", "replace")
        fits = all(map(self.has_passed, needs)) and keys[str(key_id)].verify(signed, signature)
        error = None if fits else AuthError("token_signature_invalid", reason="it does not fit that key")
        self._add("signature", error, "ES256, by that key", *needs)

    def _check_binding(self, claims: dict[str, Any], known: Binding | None) -> None:
        binding = known or _NO_PROJECT
        for name, error in check_binding(claims, binding):
            if known is None and name != "required_claims":  # the only check that needs no project
                self.done.append(_skip_check(name, "no project id is set"))
                continue
            needs = ("payload", "required_claims", "issuer", "audience") if name == "kind" else ("payload",)
            self._add(name, error, _claims_detail(name, claims, binding), *needs)
            if self.done[-1].code == "token_issuer_not_allowed" and _is_same_server(claims, binding):
                advice = _WHAT_TO_DO["token_audience_not_allowed"]  # the issuer is another project of this server
                self.done[-1] = self.done[-1].model_copy(update={"advice": advice})

    def _try(self, name: str, read: Callable[[], _Value], detail: str, *needs: str) -> _Value | None:
        """Add the check that a part of the token can be decoded, and return this part."""
        value, error = None, None
        if all(map(self.has_passed, needs)):
            try:
                value = read()
            except ValueError as fault:
                error = AuthError("token_malformed", reason=str(fault))
        self._add(name, error, detail, *needs)
        return value

    def _add(self, name: str, error: AuthError | None, detail: str, *needs: str) -> None:
        missing = next((need for need in needs if not self.has_passed(need)), None)
        if missing:
            self.done.append(_skip_check(name, f"needs {missing}"))
        elif error:
            self.done.append(_fail_check(name, error, detail))
        else:
            self.done.append(Check(name=name, status="pass", detail=detail))


def _fail_check(name: str, error: AuthError, detail: str = "") -> Check:
    if error.reason and name not in _DETAIL_SHOWS_VALUE:
        detail = error.reason
    advice = _WHAT_TO_DO.get(error.code, "")
    return Check(name=name, status="fail", code=error.code, detail=detail or AUTH_CODES[error.code][1], advice=advice)


def _skip_check(name: str, why: str) -> Check:
    return Check(name=name, status="not_checked", detail=why)


# --- what each check found -------------------------------------------------------------------------------


def _header_detail(name: str, header: Mapping[str, Any]) -> str:
    if name == "extensions":
        return "no crit, no b64"
    member = {"algorithm": "alg", "key_id": "kid"}[name]
    return f"{member} {printable(header.get(member))}"


def _claims_detail(name: str, claims: Mapping[str, Any], binding: Binding) -> str:
    issuer = claims.get("iss") if isinstance(claims.get("iss"), str) else None
    match name:
        case "required_claims":
            return "sub, iss, aud, exp, iat, branch_id"
        case "issuer":
            where = " and ".join(_origins(binding))
            return _describe_expected(
                "iss", claims, f"project {printable(binding.project_id)} at {where}", binding.issuers
            )
        case "audience":
            return _describe_expected("aud", claims, printable(binding.project_id), binding.audiences)
        case "project":
            return _describe_expected("project_id", claims, printable(binding.project_id), (None, binding.project_id))
        case "branch":
            branch = {"branch_id": claims.get("branch_id", claims.get("branchId"))}
            return _describe_expected("branch_id", branch, printable(binding.branch_id), (None, binding.branch_id))
        case _:
            return str(binding.issuers.get(issuer or "", ""))


def _describe_expected(name: str, claims: Mapping[str, Any], wanted: str, allowed: Collection[object]) -> str:
    value = claims.get(name)
    fits = value in allowed if isinstance(value, Hashable) else False
    return f"{name} {printable(value)}" + ("" if fits else f", not {wanted}")


def _origins(binding: Binding) -> list[str]:
    return sorted({to_origin(issuer) for issuer in binding.issuers})


def _is_same_server(claims: Mapping[str, Any], binding: Binding) -> bool:
    try:
        return to_origin(claims["iss"]) in _origins(binding)
    except (ValueError, TypeError, AttributeError, KeyError):
        return False


def _time_detail(name: str, claims: Mapping[str, Any], now: float) -> str:
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
