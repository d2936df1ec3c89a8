"""Real tokens are accepted, nothing that is made of them is, and any other text is refused by a code."""

import asyncio
import json
from base64 import urlsafe_b64decode
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth import AuthError, StackAuth, User
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.keys import key_set as published
from fastapi_stackauth.verification.claims import read_as_written, read_strictly
from fastapi_stackauth.verification.verifier import TokenEndsSoon
from tests.fuzz.strategies import CLAIMS, JSON, SIGNER, TOKENS
from tests.support.forge import AUDIENCES, ISSUERS, NOW, PROJECT, b64, claims, key_set, segment
from tests.support.world import World

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2, §2.4.2)
KINDS = ("normal", "restricted", "anonymous")


@dataclass(frozen=True)
class Real:
    """What an auth server gave: tokens of each kind, for two people; and who verifies them."""

    stack: StackAuth
    tokens: tuple[str, ...]

    def user(self, token: str) -> User:
        """The user of a token."""
        return asyncio.run(self.stack.verifier.verify(token))


@cache
def real() -> Real:
    server = Emulator(fast_hashes=True)
    now = server.clock.now()
    tokens = tuple(server.issue_token(kind=kind)["access_token"] for kind in KINDS * 2)
    keys = published(server.store.projects.server_secret(), server.project_id, list(KINDS))
    stack = StackAuth(
        project_id=server.project_id, base_url=server.url, jwks={"keys": keys}, clock=lambda: now
    )  # the tokens stay young, however long it takes
    server.close()
    return Real(stack, tokens)


def is_rejected(verifier: Real | World, token: str) -> bool:
    """Whether a token is refused as a bad token is; any other error is raised.

    A cookie session also asks whether the token lasts long enough, before anything else of it is checked.
    """
    verify = (verifier.stack.verifier if isinstance(verifier, Real) else verifier.verifier).verify
    with suppress(AuthError, TokenEndsSoon):
        asyncio.run(verify(token, min_left=20.0))
    try:
        asyncio.run(verify(token))
    except AuthError as error:
        refusal = error
    else:
        return False
    assert (refusal.status_code, refusal.code[:6]) == (401, "token_")
    return True


def decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "==")


# --- ways to make another token of one ---


def with_json(part: str, changes: dict[str, Any]) -> str:
    return segment({**json.loads(decode(part)), **changes})


@st.composite
def change_bytes(draw: st.DrawFn, token: str) -> str:
    """A character put in, taken out or exchanged."""
    at, character = draw(st.integers(0, len(token) - 1)), draw(st.sampled_from("A.=-_9 \n\x00é") | st.characters())
    return token[:at] + draw(st.sampled_from([character, "", character + token[at]])) + token[at + 1 :]


@st.composite
def change_claims(draw: st.DrawFn, token: str) -> str:
    """Other header or claims under the signature that there was, or under a stranger's of the same key id."""
    header, payload, signature = token.split(".")
    names = st.sampled_from([*json.loads(decode(payload)), "nbf", "x"])
    header = with_json(header, draw(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jwk", "crit"]), JSON)))
    payload = with_json(payload, draw(st.dictionaries(names, JSON, max_size=2)))
    signed = f"{header}.{payload}"
    return f"{signed}.{b64(SIGNER.raw(signed.encode())) if draw(st.booleans()) else signature}"


@st.composite
def change_signature(draw: st.DrawFn, token: str) -> str:
    """The very header and claims, and a signature that is written differently, borrowed, or a stranger's."""
    signed, _, signature = token.rpartition(".")
    raw = decode(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    mac = hmac.HMAC(SIGNER.pem, hashes.SHA256())
    mac.update(signed.encode())
    others = [
        b"",
        raw[:63],
        raw + b"\x00",
        b"\x00" + raw[:32] + b"\x00" + raw[32:],  # the same two numbers, each with a zero before it
        encode_dss_signature(r, s),
        bytes(64),
        ORDER.to_bytes(32, "big") * 2,
        raw[32:] + raw[:32],
        SIGNER.raw(signed.encode()),
        mac.finalize(),
        draw(st.binary(max_size=80)),
    ]
    return f"{signed}.{b64(draw(st.sampled_from(others)))}"


@st.composite
def mix_two(draw: st.DrawFn, token: str) -> str:
    """Parts of several real tokens."""
    parts = zip(*(each.split(".") for each in real().tokens), strict=True)
    return ".".join(draw(st.sampled_from(choice)) for choice in parts)


@st.composite
def written_anew(draw: st.DrawFn, token: str) -> str:
    """The same header and claims, in other words."""
    header, payload, signature = token.split(".")
    text = json.dumps(json.loads(decode(payload)), indent=draw(st.sampled_from([None, 1])), sort_keys=True)
    end = draw(st.sampled_from(["", "=", "==", "\n", ".", " "]))
    return f"{header}.{draw(st.sampled_from([payload, b64(text.encode()) + end]))}.{signature}{end}"


@st.composite
def made_of_a_real_token(draw: st.DrawFn) -> str:
    token = draw(st.sampled_from(real().tokens))
    ways = (change_bytes, change_claims, change_signature, mix_two, written_anew)
    made: str = draw(st.one_of(*(way(token) for way in ways)))
    return made


# --- what holds ---


def test_every_real_token_is_accepted_as_what_it_is():
    people = [real().user(token) for token in real().tokens]
    assert [user.kind.value for user in people] == list(KINDS * 2)
    assert len({user.id for user in people}) == len(people)


@given(made_of_a_real_token())
def test_nothing_made_of_a_real_token_is_accepted(token: str):
    assert is_rejected(real(), token) or token in real().tokens


def test_a_signatures_twin_verifies_only_what_was_signed():
    """Every ECDSA signature has a computable twin. It is accepted for the same claims only."""
    signed, _, signature = real().tokens[0].rpartition(".")
    raw = decode(signature)
    twin = raw[:32] + (ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    assert real().user(f"{signed}.{b64(twin)}") == real().user(real().tokens[0])


@given(st.text(max_size=200) | TOKENS.map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_refused_by_a_code(text: str):
    is_rejected(World.make(SIGNER, jwks=key_set(SIGNER)), text)


@given(CLAIMS)
def test_signed_claims_need_this_project_one_kind_and_time(odd: dict[str, Any]):
    """Claims that the server signed are accepted only for this project one kind and now."""
    said = {**claims(), **odd}
    world = World.make(SIGNER, jwks=key_set(SIGNER))
    if is_rejected(world, SIGNER.compact(SIGNER.header(), said)):
        return
    kind = {issuer: kind for kind, issuer in ISSUERS.items()}[said["iss"]]
    assert said["aud"] == AUDIENCES[kind]
    assert (said["is_anonymous"], said["is_restricted"]) == (kind == "anonymous", kind != "normal")
    assert said.get("project_id") in (None, PROJECT)
    assert said.get("branch_id", said.get("branchId")) == "main"
    assert said["iat"] <= NOW + 6 < NOW + 7 <= said["exp"] + 6
    assert isinstance(said["sub"], str)


@given(JSON, st.booleans(), st.lists(st.tuples(st.integers(0, 200), st.sampled_from(b'{}[]",:0e.- nul\\')), max_size=2))
def test_the_fast_parser_agrees_with_the_strict_one(value: Any, escaped: bool, changes: list[tuple[int, int]]):
    """The fast parser of claims accepts only what the strict one accepts, and reads the same values."""
    text = json.dumps({"a": value}, separators=(",", ":"), ensure_ascii=escaped)
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for place, byte in changes:
        raw[place % len(raw)] = byte
    read = read_as_written(bytes(raw))
    if read is not None:
        assert repr(read) == repr(read_strictly(bytes(raw)))  # the types as well
