"""API keys on the pages: the list of valid keys, the choice of an expiry, and the page that shows a new key once."""

import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Response

from fastapi_stackauth.models import TeamApiKey, UserApiKey
from fastapi_stackauth.pages.showing import find_site, show
from fastapi_stackauth.routers.plumbing.context import RouteContext

FIELDS = ("description", "expires_at_millis")
"""The fields of the form for a new key."""
DAYS = (30, 90, 365)
"""The choices for the lifetime of a new key, in addition to no expiry."""
_DEFAULT_DAYS = 90
_MILLIS = re.compile(r"[0-9]{1,18}")


def describe_keys(context: RouteContext, keys: Iterable[UserApiKey | TeamApiKey]) -> list[dict[str, Any]]:
    """Return the template's values for API keys, without revoked keys."""
    now = datetime.fromtimestamp(context.services.clock(), UTC)
    return [_describe(key, now) for key in keys if key.manually_revoked_at_millis is None]


def _describe(key: UserApiKey | TeamApiKey, now: datetime) -> dict[str, Any]:
    expires_at = key.expires_at_millis
    return {
        "id": key.id,
        "description": key.description,
        "last_four": key.value.last_four,
        "created": f"{key.created_at_millis:%Y-%m-%d}",
        "expires": f"{expires_at:%Y-%m-%d}" if expires_at else "",
        "is_expired": expires_at is not None and expires_at <= now,
    }


def list_expiries(context: RouteContext) -> list[dict[str, Any]]:
    """Return the choices of an expiry: the days, the value of the field, and which one is selected.

    After an error it is the one that the user chose; none if the key must not expire.
    """
    now, chosen = context.services.clock(), context.form.get("expires_at_millis")
    selected: float | None = _DEFAULT_DAYS
    if chosen is not None:  # the value is a time, so it differs each second
        selected = (
            min(DAYS, key=lambda days: abs(_expiry(now, days) - int(chosen))) if _MILLIS.fullmatch(chosen) else None
        )
    return [{"days": days, "value": str(_expiry(now, days)), "is_selected": days == selected} for days in DAYS]


def _expiry(now: float, days: int) -> int:
    return int(now + timedelta(days=days).total_seconds()) * 1000


def show_new_key(find_path: Callable[[RouteContext], str]) -> Callable[[RouteContext, Any], Awaitable[Response]]:
    """Return a function that shows a new key. No later page can show the key, and the browser does not store this page.

    Args:
        find_path: Returns the path of the page with the list.
    """

    async def show_result(context: RouteContext, key: Any) -> Response:  # noqa: ANN401 - JSON of the route
        secret = not str(key["value"]).startswith("pk_")
        back = find_site(context).link(find_path(context))
        # There are no links to other languages, because the key would be lost.
        return await show(context, "new_key.html", value=key["value"], secret=secret, back=back, languages=[])

    return show_result
