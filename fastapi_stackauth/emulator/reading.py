"""Untrusted JSON: bodies, seed files, arguments of tests.

Law: an accepted value can be stored and written again; every other value is a ValueError.
"""

import json
from typing import Any


def parse_json(raw: bytes) -> Any:  # noqa: ANN401 - JSON from outside
    """Return JSON (RFC 8259) that `check_writable` has passed.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has values that JSON cannot represent.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("this is not valid JSON") from None
    check_writable(value)
    return value


def check_writable(value: Any) -> None:  # noqa: ANN401 - JSON from outside
    """Reject values that JSON cannot hold: NaN, infinities (1e999 is read as one), lone surrogates, other objects.

    Raises:
        ValueError: there is such a thing in the value.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError):
        raise ValueError("this holds a value that JSON cannot hold") from None
