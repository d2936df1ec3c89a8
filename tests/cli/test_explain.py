"""`explain` never disagrees with the verifier, names every check, and shows nothing that it should not."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fastapi_stackauth import AuthError, StackAuth
from fastapi_stackauth.cli.app import app
from fastapi_stackauth.cli.explanation import Explanation, explain
from fastapi_stackauth.cli.probes import build_frame, read_keys
from fastapi_stackauth.verification.verifier import Verifier
from tests.support.forge import ABSENT, BASE, KINDS, NOW, PROJECT, Signer, claims, key_set, segment
from tests.support.rows import rows
from tests.support.world import Clock

VECTORS = json.loads((Path(__file__).parents[1] / "data/token-vectors.json").read_text("utf-8"))
CHECKS = [
    "credential", "form", "header", "algorithm", "extensions", "key_id", "payload", "signature_form", "key",
    "signature", "required_claims", "issuer", "audience", "project", "branch", "kind", "expiry", "issued_at",
    "not_before",
]  # fmt: skip


async def both(token: str, jwks: dict[str, Any], now: float, **options: Any) -> tuple[str | None, Explanation]:
    """The verifier's code, None where it accepts, and the explanation."""
    stack = StackAuth(jwks=jwks, **options)
    told = explain(token, build_frame(stack.settings, now, read_keys(jwks)))
    try:
        await Verifier(stack.settings, stack.client, clock=Clock(now)).verify(token)
    except AuthError as refusal:
        return refusal.code, told
    return None, told


def agrees(code: str | None, told: Explanation) -> bool:
    return told.code == code and told.verdict == ("accepted" if code is None else "rejected")


@rows("jwks", ["jwks", "jwks_default", "jwks_restricted"])
@rows("recorded", VECTORS["tokens"], ids=lambda recorded: recorded["kind"])
async def test_it_agrees_with_the_verifier_on_every_recorded_token(recorded: dict[str, Any], jwks: str):
    codes = set()
    for now in (recorded["issued_at"] - 60, recorded["issued_at"], recorded["expires_at"] + 60):
        options = {"project_id": VECTORS["project_id"], "base_url": VECTORS["base_url"]}
        code, told = await both(recorded["token"], VECTORS[jwks], now, **options)
        assert agrees(code, told)
        assert [check.name for check in told.checks] == CHECKS
        codes.add(code)
    assert codes == {None, "token_expired", "token_not_yet_valid"} or codes == {"token_key_unknown"}


def mutants(signer: Signer) -> Iterator[str]:
    """Tokens with something wrong, or odd, about each part."""
    good = signer.token()
    header, payload, signature = good.split(".")
    yield from (good, good + ".", f"{header}.{payload}", f"{header}.{payload}.", f".{payload}.{signature}")
    yield from (f"{header}..{signature}", f"{header}=.{payload}.{signature}", f"{header}.{payload}=.{signature}")
    yield from (good[:-1] + other for other in "AQgw-_=")
    yield f"{header}.{segment(claims(sub='somebody-else'))}.{signature}"
    changes: tuple[dict[str, Any], ...] = (
        {"alg": "none"},
        {"alg": "HS256"},
        {"crit": []},
        {"kid": ABSENT},
        {"kid": "other"},
        {"kid": 7},
    )
    yield from (signer.token(header=change) for change in changes)
    yield from (signer.token(kind) for kind in KINDS)
    for part in (b"[]", b"{", b"null", b'{"a":1,"a":2}', b"\xff"):
        yield signer.compact(part, claims())
        yield signer.compact(signer.header(), part)
    odd: tuple[Any, ...] = (ABSENT, None, "", 7, -1, 1.5, True, [], {}, "x", NOW - 9_999, NOW + 9_999, 2**60)
    names = ("sub", "iss", "aud", "exp", "iat", "nbf", "branch_id", "project_id", "is_anonymous", "is_restricted")
    yield from (signer.token(**{name: value}) for name in names for value in odd)
    yield signer.token("anonymous", iss=claims()["iss"])
    yield signer.token(iss=ABSENT, exp=NOW - 9_999, aud="x")
    yield Signer(signer.key_id).token()


async def test_it_agrees_with_the_verifier_on_mutated_tokens(signer: Signer):
    seen: dict[str | None, int] = {}
    for token in mutants(signer):
        code, told = await both(token, key_set(signer), NOW + 1, project_id=PROJECT, base_url=BASE)
        assert agrees(code, told), (code, told)
        seen[code] = seen.get(code, 0) + 1
    assert len(seen) > 11, seen


def test_without_keys_a_good_token_stays_undecided(signer: Signer):
    """Without keys the signature is not checked and a good token stays undecided."""
    settings = StackAuth(project_id=PROJECT, base_url=BASE).settings
    told = explain(signer.token(), build_frame(settings, NOW + 1, None, "offline"))
    assert told.verdict == "undecided"
    assert {check.name for check in told.checks if check.status == "not_checked"} == {"key", "signature"}
    assert explain(signer.token(aud="x"), build_frame(settings, NOW, None)).code == "token_audience_not_allowed"


def test_later_checks_are_run_although_an_earlier_one_failed(signer: Signer, stranger: Signer):
    settings = StackAuth(project_id=PROJECT, base_url=BASE).settings
    told = explain(stranger.token(iss="x", exp=1), build_frame(settings, NOW, read_keys(key_set(signer))))
    assert [c.name for c in told.checks if c.status == "fail"] == ["signature", "issuer", "expiry"]
    assert told.code == "token_signature_invalid"
    assert next(c for c in told.checks if c.name == "signature").detail == "it does not fit that key"


# --- the command -----------------------------------------------------------------------------------------


def run(text: str | bytes, *words: str, **environment: str | None) -> Result:
    env = {"STACK_PROJECT_ID": PROJECT, "STACK_API_URL": BASE, **environment}
    return CliRunner().invoke(app, ["explain", *words], input=text, env=env)


@pytest.fixture
def keys(tmp_path: Path, signer: Signer) -> str:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(key_set(signer)), "utf-8")
    return str(file)


AT = ("--at", str(NOW + 1))


def test_a_good_token_exits_0_and_is_not_shown(signer: Signer, keys: str):
    """A good token is accepted with exit code 0 and neither it nor who it is is shown."""
    token = signer.token()
    result = run(token, "--keys", keys, *AT)
    assert result.exit_code == 0
    assert "Accepted" in result.output
    for secret in (*token.split("."), "ada@example.com", "Ada", claims()["sub"], claims()["refresh_token_id"]):
        assert secret not in result.output
    assert "\x1b" not in result.output


def test_show_claims_shows_who_it_is_and_still_not_the_token(signer: Signer, keys: str):
    token = signer.token()
    result = run(token, "--keys", keys, *AT, "--show-claims")
    assert '"ada@example.com"' in result.output
    assert '"Ada Löwe"' in result.output
    assert all(part not in result.output for part in token.split("."))


def bundle(token: str) -> str:
    return json.dumps({"accessToken": token, "refreshToken": "r"})


@rows(
    "form",
    [
        "{token}\n", "  {token}\r\n", "Bearer {token}", "bearer  {token}\n", "Authorization: Bearer {token}",
        "x-stack-access-token: {token}", "{json}", "x-stack-auth: {json}", "stackauth_{b64}", "hexclave_{b64}",
        "Bearer stackauth_{b64}",
    ],
)  # fmt: skip
def test_it_reads_a_token_in_every_form(signer: Signer, keys: str, form: str):
    """It reads a token in every form in which an app may be given one."""
    token = signer.token()
    as_json = bundle(token)
    text = form.format(token=token, json=as_json, b64=base64.b64encode(as_json.encode()).decode())
    result = run(text, "--keys", keys, *AT)
    assert (result.exit_code, "Accepted" in result.output) == (0, True)
    assert token not in result.output


@rows(
    ("text", "code"),
    [
        ("stackauth_!!!", "credentials_malformed"),
        ("{}", "authentication_required"),
        ("{", "credentials_malformed"),
        ("Basic QWRhOng=", "token_malformed"),
        ("Authorization: Basic QWRhOng=", "authentication_required"),
        (b"\xff\xfe", "credentials_malformed"),
        ("x" * 20_000, "credentials_too_large"),
        ("\x1b[31mred", "token_malformed"),
    ],
)
def test_what_is_no_token_is_refused_with_a_code_and_exit_code_1(text: str | bytes, code: str):
    result = run(text, "--offline", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["code"] == code


def test_its_json_has_the_documented_form(signer: Signer, keys: str):
    result = run(signer.token("restricted", exp=NOW - 60), "--keys", keys, *AT, "--json")
    assert result.exit_code == 1
    told = Explanation.model_validate_json(result.output)
    assert (told.verdict, told.code, told.kind) == ("rejected", "token_expired", "restricted")
    failed = next(check for check in told.checks if check.status == "fail")
    assert (failed.name, failed.code) == ("expiry", "token_expired")
    assert failed.advice
    assert told.header == {"alg": "ES256", "kid": "key-1"}
    assert (told.claims["email"], told.claims["sub"]) == ("…", "03a496f3…")


def test_nothing_in_a_token_moves_the_cursor_of_a_terminal(signer: Signer, keys: str):
    claim: dict[str, Any] = {"\x1b[31m": "\u202e"}
    token = signer.token(iss="\x1b]0;owned\x07\x1b[2J", **claim)
    result = run(token, "--keys", keys, *AT, "--show-claims")
    assert result.exit_code == 1
    assert not any(character in result.output for character in "\x1b\x07\u202e")


def test_an_issuer_of_another_address_is_shown_and_may_be_added(signer: Signer, keys: str):
    token = signer.token(iss=f"https://public.example.com/api/v1/projects/{PROJECT}")
    result = run(token, "--keys", keys, *AT)
    assert result.exit_code == 1
    assert "https://public.example.com" in result.output
    assert "STACK_ISSUERS" in result.output
    assert run(token, "--keys", keys, *AT, "--issuer", "https://public.example.com").exit_code == 0


def test_a_token_of_another_project_is_named_so(signer: Signer, keys: str):
    """A token of another project at the same server is called that."""
    result = run(signer.token(), "--keys", keys, *AT, "--project-id", "other", "--json")
    issuer = next(check for check in json.loads(result.output)["checks"] if check["name"] == "issuer")
    assert "STACK_PROJECT_ID" in issuer["advice"]


def test_without_a_project_id_what_needs_none_is_checked(signer: Signer, keys: str):
    result = run(signer.token(), "--keys", keys, *AT, STACK_PROJECT_ID=None)
    assert result.exit_code == 3
    assert "Undecided" in result.output


def test_keys_out_of_reach_leave_a_good_token_undecided(signer: Signer):
    result = run(signer.token(), *AT, STACK_API_URL="http://127.0.0.1:1", STACK_ISSUERS=BASE)
    assert result.exit_code == 3
    assert "no keys from http://127.0.0.1:1" in result.output


@rows("words", [["{token}"], ["--token={token}"], ["--offline", "Bearer {token}"], ["hello"]])
def test_a_token_as_an_argument_is_refused_and_not_repeated(signer: Signer, words: list[str]):
    token = signer.token()
    result = run("", *(word.format(token=token) for word in words))
    assert result.exit_code == 2
    assert "standard input" in result.output
    assert "history" in result.output
    assert token[10:40] not in result.output


@rows(
    ("words", "text"),
    [
        ([], ""),
        ([], " \n"),
        (["--at", "noon"], "x"),
        (["--at", "nan"], "x"),
        (["--at", "inf"], "x"),
        (["--at", "1e300"], "x"),
        (["--keys", "/nonexistent"], "x"),
        (["--leeway", "99"], "x"),
    ],
)
def test_a_wrong_call_is_exit_code_2(words: list[str], text: str):
    assert run(text, *words).exit_code == 2


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', "[" * 100_000])
def test_a_file_without_keys_is_exit_code_2(tmp_path: Path, content: str):
    file = tmp_path / "jwks.json"
    file.write_text(content, "utf-8")
    result = run("x", "--keys", str(file))
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


@pytest.mark.parametrize("moment", ["2027-01-15T08:00:01Z", "2027-01-15T08:00:01", "2027-01-15T09:00:01+01:00"])
def test_the_time_of_the_judgement_may_be_given(signer: Signer, keys: str, moment: str):
    assert run(signer.token(), "--keys", keys, "--at", moment).exit_code == 0


def test_the_variables_may_stand_in_a_file(signer: Signer, keys: str, tmp_path: Path):
    file = tmp_path / ".env"
    file.write_text(f"STACK_PROJECT_ID={PROJECT}\nSTACK_API_URL={BASE}\n", "utf-8")
    words = ("--keys", keys, *AT, "--env-file", str(file))
    assert run(signer.token(), *words, STACK_PROJECT_ID=None, STACK_API_URL=None).exit_code == 0


@pytest.mark.parametrize("content", [b"\xff\xfeA=\x80", b"A=\0"])
def test_a_file_of_variables_that_cannot_be_read_is_exit_code_2(tmp_path: Path, content: bytes):
    file = tmp_path / ".env"
    file.write_bytes(content)
    result = run("x", "--env-file", str(file))
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


def test_an_unusable_proxy_leaves_a_token_undecided(signer: Signer):
    """A proxy that cannot be used leaves a good token undecided."""
    result = run(signer.token(), *AT, ALL_PROXY="junk://ada:secret-ish@proxy")
    assert result.exit_code == 3
    assert "no keys from" in result.output
    assert "secret-ish" not in result.output
