"""What strangers may send: JSON of every kind, tokens and things like tokens, and values that are almost right."""

import json
from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from tests.support.forge import Signer, b64, claims

SIGNER = Signer()

NASTY = st.sampled_from(
    ["", "\r\nset-cookie: a=b", "a; Domain=evil.example", "\x00", "\ud800", "é", "http://[", "//evil.example", "..",
     "javascript:alert(1)", "x" * 5_000, "-1", "1e999", "__proto__", "%0d%0a", "=?utf-8?q?x?="]
)  # fmt: skip
STRINGS = st.text(st.characters(), max_size=20) | NASTY
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, 2**53, 2**63, -1, 0, 1e308, 253_402_300_800_000])
SCALARS = st.none() | st.booleans() | NUMBERS | STRINGS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=8,
)
"""Anything that Python's `json` reads: more than JSON has, such as NaN and halves of surrogate pairs."""

EDITS = st.lists(st.tuples(st.integers(0, 1_000), JSON), max_size=3)


def edit(value: Any, edits: list[tuple[int, Any]]) -> Any:
    """A JSON value with some of its inner values replaced: almost right, and therefore read the farthest."""
    for number, replacement in edits:
        places = list(_places(value))
        value = _replace(value, places[number % len(places)], replacement)
    return value


def _places(value: Any, at: tuple[Any, ...] = ()) -> Any:
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _places(item, (*at, key))


def _replace(value: Any, place: tuple[Any, ...], replacement: Any) -> Any:
    if not place:
        return replacement
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = _replace(copied[place[0]], place[1:], replacement)
    return copied


def to_bytes(value: Any) -> bytes:
    """A value as JSON in ASCII."""
    return json.dumps(value).encode("ascii")


# --- tokens and headers ---


def token_like(header: bytes, payload: bytes, signature: bytes) -> bytes:
    """Three segments."""
    return b".".join(b64(part).encode() for part in (header, payload, signature))


CLAIMS = st.fixed_dictionaries({}, optional=dict.fromkeys((*claims(), "nbf", "crit", "branchId"), JSON))
TOKENS = st.one_of(
    st.builds(token_like, st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=70)),
    CLAIMS.map(lambda odd: SIGNER.compact(SIGNER.header(), {**claims(), **odd}).encode()),
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), JSON).map(
        lambda odd: SIGNER.compact({**SIGNER.header(), **odd}, claims()).encode()
    ),
    st.binary(max_size=200),
)
"""Tokens that are truly signed with odd claims or headers, and what only looks like one."""

NAMES = st.sampled_from(
    [b"authorization", b"x-stack-access-token", b"x-hexclave-access-token", b"x-stack-auth", b"cookie", b"origin",
     b"sec-fetch-site", b"host", b"accept", b"content-type", b"x-forwarded-for", b"x-forwarded-host"]
)  # fmt: skip
_BEFORE = st.sampled_from(
    [b"", b"Bearer ", b"Bearer stackauth_", b"stack-access=", b"stackauth-access=a.b.c; stackauth-refresh=",
     b'{"accessToken":"', b'stack-refresh=r; stack-access=["r","', b"text/html,"]
)  # fmt: skip
_AFTER = st.sampled_from([b"", b'"}', b'"]'])
HEADERS = st.lists(
    st.tuples(
        NAMES, st.tuples(_BEFORE, TOKENS | st.binary(max_size=90).map(b64encode) | st.just(b"["), _AFTER).map(b"".join)
    ),
    max_size=4,
)
