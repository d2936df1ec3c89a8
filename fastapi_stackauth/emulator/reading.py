"""Parse and check untrusted JSON: bodies, seed files and arguments of tests.

Law: an accepted value can be stored and serialized again. Any other value raises a ValueError.
"""

import json
from typing import Any


def parse_json(raw: bytes) -> Any:  # noqa: ANN401 - JSON from outside
    """Parse JSON (RFC 8259) and check it with `check_writable`.

    Raises:
        ValueError: It is not JSON, is nested too deeply, or has values that JSON cannot represent.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("this is not valid JSON") from None
    check_writable(value)
    return value


def check_writable(value: Any) -> None:  # noqa: ANN401 - JSON from outside
    """Reject values that JSON cannot represent: NaN, infinities (such as 1e999), lone surrogates and other objects.

    Raises:
        ValueError: There is such a value.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError):
        raise ValueError("this holds a value that JSON cannot hold") from None
