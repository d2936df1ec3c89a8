"""Read the segments of a JSON Web Signature strictly: one token has one spelling (RFC 7515 §2 and §7.1).

What cannot be read is a `ValueError` whose text holds no part of the token.
"""

import binascii
import json
import math
from typing import Any, NoReturn

from pydantic_core import from_json, to_json

MAX_DEPTH = 64
"""Levels of nested JSON; the claims of real tokens have two."""
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/...")  # RFC 4648 §5; the dot is in no alphabet, so the decoder rejects it


def split_token(token: str) -> list[str]:
    """Return header, payload and signature as they are written."""
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
    """Return the JSON object of a segment; `name` says in errors which segment it is."""
    raw = decode_segment(segment)
    try:
        value = read_as_written(raw) or read_strictly(raw)
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            _check_depth(value)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError(f"the {name} is not a proper JSON object")


def read_as_written(raw: bytes) -> object:
    """Return a JSON value that would be written again just like this, so that no name stands in it twice; else None.

    That is how auth servers write. It takes half the time of strict reading, which all other texts get.
    """
    try:
        value = from_json(raw, allow_inf_nan=False, cache_strings="keys")  # all tokens share the names
        return value if to_json(value) == raw else None
    except ValueError:
        return None


def read_strictly(raw: bytes) -> object:
    """Return a JSON value without duplicate names, constants such as NaN, and lone surrogates."""
    value = _DECODER.decode(raw.decode("utf-8"))
    if b"\\ud" in raw or b"\\uD" in raw:
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a response could not hold a lone surrogate
    return value


def _check_depth(value: object) -> None:
    """Reject what the reader takes but freezing, hashing or writing would not: each has a stack of its own."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
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
        raise ValueError("beyond what a double can hold")  # it could not be written as JSON again
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
