"""The content of tool errors. Pure."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

_RETRYABLE = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def describe_error(status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> dict[str, Any]:
    """Return a problem document that also shows whether the same call may succeed later.

    Args:
        status: The HTTP status.
        problem: The problem document.
        retry_after: Seconds after which the caller may try again, if known.
    """
    document = {**problem, "status": status}  # an app's own errors may use a member of this name for other purposes
    if status in _RETRYABLE:
        document["retryable"] = True
        if retry_after is not None:
            document["retry_after"] = max(1, math.ceil(retry_after))
    return document
