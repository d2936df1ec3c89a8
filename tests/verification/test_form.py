"""Signature, header and form: nothing forged and nothing unreadable gets in."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from fastapi_stackauth import AuthError, TokenKind
from fastapi_stackauth.verification.verifier import Verifier
from tests.support.forge import (
    ABSENT,
    AUDIENCES,
    KINDS,
    Signer,
    b64,
    segment,
)
from tests.support.forge import claims as claims_of
from tests.support.rows import rows
from tests.support.world import World
from tests.verification.helpers import refusal

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2 §2.4.2)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ALGORITHMS = ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES384", "ES512", "ES256K", "RS256", "PS256"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_good_token_of_each_kind_is_accepted(verifier: Verifier, signer: Signer, kind: str):
    user = await verifier.verify(signer.token(kind))
    assert (user.kind, user.id) == (TokenKind(kind), claims_of()["sub"])
    assert user.claims["aud"] == AUDIENCES[kind]


# --- signature -------------------------------------------------------------------------------------------


async def test_a_foreign_signature_under_our_key_id_is_rejected(verifier: Verifier, stranger: Signer, world: World):
    """A token signed by another key under our key id is refused."""
    assert await refusal(verifier, stranger.token()) == "token_signature_invalid"
    assert world.server.requests == []


async def test_a_token_of_an_unknown_key_id_is_refused(verifier: Verifier):
    assert await refusal(verifier, Signer("key-2").token()) == "token_key_unknown"


@pytest.mark.parametrize("digest", ["HS256", "HS384", "HS512"])
async def test_the_public_key_is_no_hmac_secret(verifier: Verifier, signer: Signer, digest: str):
    coordinates = (signer.jwk["x"] + signer.jwk["y"]).encode()
    signed = f"{segment(signer.header(alg=digest))}.{segment(claims_of())}"
    for secret in (signer.pem, signer.pem.strip(), json.dumps(signer.jwk).encode(), coordinates):
        forged = hmac.new(secret, signed.encode(), hashlib.new("SHA" + digest[2:]).name).digest()
        with pytest.raises(AuthError) as caught:
            await verifier.verify(f"{signed}.{b64(forged)}")
        assert caught.value.code == "token_algorithm_not_allowed"


@pytest.mark.parametrize("secret", ["pem", "jwk"])
async def test_an_hmac_that_claims_to_be_es256_is_no_signature(verifier: Verifier, signer: Signer, secret: str):
    signed = f"{segment(signer.header())}.{segment(claims_of())}"
    key = signer.pem if secret == "pem" else json.dumps(signer.jwk).encode()
    mac = hmac.new(key, signed.encode(), "sha512").digest()
    assert await refusal(verifier, f"{signed}.{b64(mac)}") == "token_signature_invalid"


@rows("alg", ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES384", "ES512", "ES256K", "RS256"])
@rows("signature", ["", "real"])
async def test_only_es256_is_an_algorithm(verifier: Verifier, signer: Signer, alg: str, signature: str):
    token = signer.token(header={"alg": alg})
    token = token if signature else token.rsplit(".", 1)[0] + "."
    assert await refusal(verifier, token) == "token_algorithm_not_allowed"


@rows("alg", [ABSENT, None, 256, True, ["ES256"], {"ES256": "ES256"}])
async def test_an_algorithm_that_is_no_name_is_refused(verifier: Verifier, signer: Signer, alg: object):
    assert await refusal(verifier, signer.token(header={"alg": alg})) == "token_algorithm_not_allowed"


async def test_an_empty_signature_is_refused(verifier: Verifier, signer: Signer):
    assert await refusal(verifier, signer.token().rsplit(".", 1)[0] + ".") == "token_signature_invalid"


async def test_a_der_signature_is_refused(verifier: Verifier, signer: Signer):
    signed = f"{segment(signer.header())}.{segment(claims_of())}"
    assert await refusal(verifier, f"{signed}.{b64(signer.der(signed.encode()))}") == "token_signature_invalid"


@rows("part", ["r", "s"])
@rows("value", [0, ORDER, ORDER + 1, 2**256 - 1])
async def test_r_and_s_must_lie_within_the_curves_order(verifier: Verifier, signer: Signer, part: str, value: int):
    signed = f"{segment(signer.header())}.{segment(claims_of())}"
    raw, number = signer.raw(signed.encode()), value.to_bytes(32, "big")
    forged = number + raw[32:] if part == "r" else raw[:32] + number
    assert await refusal(verifier, f"{signed}.{b64(forged)}") == "token_signature_invalid"


@rows("length", [1, 32, 63, 65, 96, 128, 4096])
async def test_a_signature_of_another_length_is_refused(verifier: Verifier, signer: Signer, length: int):
    signed, _, signature = signer.token().rpartition(".")
    assert await refusal(verifier, f"{signed}.{b64(b'x' * length)}") == "token_signature_invalid"
    assert signature


async def test_no_altered_last_character_of_a_signature_is_accepted(verifier: Verifier, signer: Signer):
    """Base64url leaves spare bits there: python-jose alone accepts 15 of the 63."""
    token = signer.token()
    for character in set(ALPHABET) - {token[-1]}:
        with pytest.raises(AuthError) as caught:
            await verifier.verify(token[:-1] + character)
        assert caught.value.code in ("token_malformed", "token_signature_invalid")


async def test_a_changed_payload_breaks_the_signature(verifier: Verifier, signer: Signer):
    header, _, signature = signer.token().split(".")
    other = segment(claims_of(sub="somebody-else"))
    assert await refusal(verifier, f"{header}.{other}.{signature}") == "token_signature_invalid"


async def test_a_changed_header_breaks_the_signature(verifier: Verifier, signer: Signer):
    _, payload, signature = signer.token().split(".")
    header = segment(signer.header(typ="JWT"))
    assert await refusal(verifier, f"{header}.{payload}.{signature}") == "token_signature_invalid"


# --- header ----------------------------------------------------------------------------------------------


@rows(
    "extra",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
    ],
)
async def test_critical_extensions_and_b64_are_refused(verifier: Verifier, signer: Signer, extra: dict[str, Any]):
    assert await refusal(verifier, signer.token(header=extra)) == "token_malformed"


@rows("member", ["jwk", "jku", "x5u", "x5c"])
async def test_keys_inside_a_token_are_neither_used_nor_fetched(
    verifier: Verifier, stranger: Signer, world: World, member: str
):
    """Keys that a token brings along are neither used nor fetched."""
    brought = {"jwk": stranger.jwk, "jku": "https://evil.test/keys", "x5u": "https://evil.test/x", "x5c": ["MIIB"]}
    assert await refusal(verifier, stranger.token(header={member: brought[member]})) == "token_signature_invalid"
    assert world.server.requests == []


@rows("kid", [ABSENT, None, "", 7, ["key-1"], "k" * 257, "key-1\n", "\x00", "key-1\u2028"])
async def test_a_key_id_that_is_no_short_printable_text_is_malformed(verifier: Verifier, signer: Signer, kid: object):
    assert await refusal(verifier, signer.token(header={"kid": kid})) == "token_malformed"


async def test_unknown_header_members_are_tolerated(verifier: Verifier, signer: Signer):
    assert await verifier.verify(signer.token(header={"typ": "JWT", "x-new": [1]}))


# --- form ------------------------------------------------------------------------------------------------


@rows("token", ["", ".", "..", "...", "a", "a.b", "a.b.c.d", "a.b.c.d.e", "\x00", "\ud800", "ä.ö.ü"])
async def test_what_is_no_compact_jws_is_malformed(verifier: Verifier, token: str):
    assert await refusal(verifier, token) == "token_malformed"


@rows("index", [0, 1, 2])
@rows("junk", ["=", "==", " ", "\n", "\t", "+", "/", "%3D", "\x00", "é", "!", "\u2028", "A"])
@rows("at", ["start", "middle", "end"])
async def test_padding_white_space_and_junk_in_a_segment_are_refused(
    verifier: Verifier, signer: Signer, index: int, junk: str, at: str
):
    segments = signer.token().split(".")
    text = segments[index]
    cut = {"start": 0, "middle": len(text) // 2, "end": len(text)}[at]
    segments[index] = text[:cut] + junk + text[cut:]
    allowed = {"token_malformed"}
    if junk == "A":  # plain base64url, so some places yield another readable segment
        allowed |= {"token_signature_invalid", "token_algorithm_not_allowed"}
    assert await refusal(verifier, ".".join(segments)) in allowed


@rows(
    "payload",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{}",
        '{"sub":"a"}'.encode("utf-16"),
        b'{"sub": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"sub": "\xed\xa0\x80"}',
        b'{"sub":"a","sub":"b"}',
        b'{"deep":{"a":1,"a":1}}',
        b'{"exp": NaN}',
        b'{"exp":NaN}',
        b'{"far":-Infinity}',
        b'{"exp": Infinity}',
        b'{"exp": -Infinity}',
        b'{"far": 1e999}',
        b'{"n": ' + b"9" * 5000 + b"}",
        b"{'sub': 'a'}",
        b'{"sub": "a",}',
        b'{"sub": "tab\tinside"}',
    ],
)
@rows("part", ["header", "payload"])
async def test_what_is_no_proper_json_object_is_malformed(
    verifier: Verifier, signer: Signer, payload: bytes, part: str
):
    token = signer.compact(payload, claims_of()) if part == "header" else signer.compact(signer.header(), payload)
    assert await refusal(verifier, token) == "token_malformed"


@rows("depth", [65, 200, 330, 600, 990, 5_000, 100_000])
@rows("brackets", [("[", "]"), ('{"a":', "}")])
@rows("part", ["header", "payload"])
@rows("separators", [(",", ":"), (", ", ": ")])
async def test_deep_nesting_is_malformed(
    verifier: Verifier,
    signer: Signer,
    depth: int,
    brackets: tuple[str, str],
    part: str,
    separators: tuple[str, str],
):
    """Whatever is accepted must also be frozen, hashed and written as JSON, each with a stack of its own."""
    deep = brackets[0] * depth + "1" + brackets[1] * depth
    whole = signer.header() if part == "header" else claims_of()
    raw = (json.dumps(whole, separators=separators)[:-1] + ',"deep":' + deep + "}").encode()
    token = signer.compact(raw, claims_of()) if part == "header" else signer.compact(signer.header(), raw)
    assert await refusal(verifier, token) == "token_malformed"


async def test_many_brackets_that_are_not_deep_are_fine(verifier: Verifier, signer: Signer):
    teams = [{"id": str(number), "roles": []} for number in range(200)]
    user = await verifier.verify(signer.token(name="[" * 500 + "{" * 500, teams=teams))
    assert user.claims["teams"][199] == {"id": "199", "roles": ()}


async def test_a_huge_payload_is_read(verifier: Verifier, signer: Signer):
    user = await verifier.verify(signer.token(note="x" * 1_000_000))
    assert len(user.claims["note"]) == 1_000_000


async def test_a_huge_header_without_sense_is_refused(verifier: Verifier, signer: Signer):
    assert await refusal(verifier, signer.compact(b"[" * 1_000_000, claims_of())) == "token_malformed"
    assert verifier.stats.misses == 1


@rows("junk", ["!!!!", "    ", "\n\n\n\n", "\t\t\t\t", "====", "++++", "////", "\x00\x00\x00\x00", "~" * 8])
@rows("place", [0, 1, 4, 43, 83])
async def test_a_signature_with_anything_in_between_is_malformed(
    verifier: Verifier, signer: Signer, junk: str, place: int
):
    """Lenient readers pass over what is not base64, so that one token would have many spellings."""
    signed, _, signature = signer.token().rpartition(".")
    assert await refusal(verifier, f"{signed}.{signature[:place]}{junk}{signature[place:]}") == "token_malformed"
