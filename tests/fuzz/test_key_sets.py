"""Whatever the key endpoint answers: keys, or a failed fetch; and only a key that was published verifies anything."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth import AuthError
from fastapi_stackauth.errors import AuthServerMisconfigured, VerificationUnavailable
from fastapi_stackauth.verification.keys import VerificationKey, read_key_set
from tests.fuzz.server import ANSWERS, RawServer
from tests.fuzz.strategies import EDITS, JSON, SIGNER, edit, to_bytes
from tests.support.forge import Signer, key_set
from tests.support.rows import rows
from tests.support.world import World

OTHER = Signer("key-2")
STRANGER = Signer(SIGNER.key_id)
MEMBERS = {
    "kty": st.sampled_from(["EC", "RSA", "oct", "OKP"]) | JSON,
    "crv": st.sampled_from(["P-256", "P-384", "secp256k1"]) | JSON,
    "alg": st.sampled_from(["ES256", "HS256", "none"]) | JSON,
    "kid": st.sampled_from([SIGNER.key_id, OTHER.key_id, ""]) | JSON,
    "use": st.sampled_from(["sig", "enc"]) | JSON,
    "key_ops": st.lists(st.sampled_from(["verify", "sign"]) | JSON, max_size=3) | JSON,
    "x": st.text("AQgw_-=+ \u00e9", min_size=43, max_size=43) | JSON,
    "y": st.text("AQgw_-=+ \u00e9", min_size=43, max_size=43) | JSON,
    "d": JSON,
}
ENTRIES = st.one_of(
    st.fixed_dictionaries({}, optional=MEMBERS),
    st.builds(lambda odd: {**SIGNER.jwk, **odd}, st.fixed_dictionaries({}, optional=MEMBERS)),
    st.sampled_from([SIGNER.jwk, OTHER.jwk, STRANGER.jwk]),
    JSON,
)
DOCUMENTS = st.one_of(
    st.builds(lambda entries: {"keys": entries}, st.lists(ENTRIES, max_size=4)),
    st.builds(edit, st.just(key_set(SIGNER, OTHER)), EDITS),
    JSON,
)


def has_key(document: Any, signer: Signer) -> bool:
    """Whether a document holds a signer's key under its id."""
    entries = document.get("keys") if isinstance(document, dict) else None
    wanted = {name: signer.jwk[name] for name in ("kty", "crv", "kid", "x", "y")}
    return isinstance(entries, list) and any(
        isinstance(entry, dict) and {name: entry.get(name) for name in wanted} == wanted for entry in entries
    )


@given(DOCUMENTS, st.booleans())
def test_any_document_is_a_key_set_or_none(document: Any, renewed: bool):
    previous = read_key_set(key_set(SIGNER)) if renewed else None
    try:
        keys = read_key_set(document, previous)
    except ValueError:
        return
    assert keys
    for key_id, key in keys.items():
        assert key.key_id == key_id
        assert key.verify(b"x", SIGNER.raw(b"x")) <= has_key(document, Signer(key_id, SIGNER.private))


@given(ANSWERS, DOCUMENTS, st.booleans())
def test_any_response_of_the_key_endpoint_is_keys_or_a_failure(answer: Any, document: Any, junk: bool):
    async def go() -> None:
        server = RawServer(answer if junk else (200, answer[1], to_bytes(document)))
        world = World.make(SIGNER, transport=server.transport, jwks_timeout=20)
        try:
            await world.verify(SIGNER.token())
        except (AuthError, VerificationUnavailable, AuthServerMisconfigured):
            pass
        else:
            assert junk or has_key(document, SIGNER)
        assert world.verifier.keys.state in ("fresh", "none")
        await world.stack.aclose()

    asyncio.run(go())


# --- what a key must be ---


@rows(
    "odd",
    [
        {"use": "enc"},
        {"alg": "ES384"},
        {"alg": "HS256"},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"x": SIGNER.jwk["x"] + "="},
        {"y": "AA" + SIGNER.jwk["y"]},
        {"kid": 1},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"key_ops": None},
        {"key_ops": ["deriveBits", "deriveKey"]},
        {"use": "enc", "key_ops": ["verify"]},
        {"use": "sig", "key_ops": ["encrypt"]},
    ],
    ids=",".join,  # names alone: coordinates differ between the workers that share out the tests
)
def test_a_key_for_anything_else_verifies_nothing(odd: dict[str, Any]):
    """Each alone in its set: beside a good key of the same id it could hide."""
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set({"keys": [{**SIGNER.jwk, **odd}]})


@rows("members", [{}, {"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}])
def test_a_key_that_may_verify_does(members: dict[str, Any]):
    (key,) = read_key_set({"keys": [{**SIGNER.jwk, **members}]}).values()
    assert key.verify(b"x", SIGNER.raw(b"x"))


class _Asked:
    """A key that must not be asked."""

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        raise AssertionError("the form comes first")


@rows("length", [0, 63, 65, 66, 128])
def test_a_signature_of_another_length_is_rejected_first(length: int):
    """python-jose measures it too. Form is for this library to judge, whatever a later release of that one does."""
    key = VerificationKey("key-1", frozenset(), (_Asked(),))  # type: ignore[arg-type]  # a real key would hide who refuses
    assert not key.verify(b"x", bytes(length))
