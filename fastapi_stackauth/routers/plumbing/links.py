"""Links in mails, and what may be told of a mail that was not sent."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from fastapi import Request

from fastapi_stackauth.errors import EmailAlreadyExists, RedirectUrlNotAllowed, SignUpNotEnabled
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.routers.plumbing.route import mount_of, page_address
from fastapi_stackauth.runtime.events import MAIL_NOT_SENT, Events, code_of
from fastapi_stackauth.settings import Settings, origin_of

RESET, VERIFY, MAGIC_LINK = "/password/reset", "/verify-email", "/magic-link/callback"
"""The router's own pages."""


def verification_link(request: Request, stack: InstalledStack, own: str) -> str | None:
    """Where a verification mail leads; None where the app has no public address to lead to."""
    whole_address = "://" in mount_of(request).pages.get("verify_email", "")
    if stack.settings.app_url is None and not whole_address:
        return None
    return page_address(request, stack, "verify_email", own, VERIFY)


@contextmanager
def telling_nothing(events: Events) -> Iterator[None]:
    """Around the sending of a mail whose address nobody has proved to be theirs: what it says of accounts is kept back.

    An untrusted link address is a fault of the set-up, but some servers find it for known addresses alone: it is logged
    as an error, and not answered.
    """
    try:
        yield
    except (SignUpNotEnabled, EmailAlreadyExists) as error:
        events.emit(MAIL_NOT_SENT, code=code_of(error))
    except RedirectUrlNotAllowed as error:
        log_untrusted_link(error, events)


def log_untrusted_link(error: RedirectUrlNotAllowed, events: Events) -> None:
    """Tell the operator why a mail was not sent."""
    detail = f"{error.message} Links follow app_url, or `pages`."
    events.emit(MAIL_NOT_SENT, level=logging.ERROR, code=code_of(error), detail=detail)


def foreign_origin(address: str, settings: Settings) -> str | None:
    """The origin, or app scheme, of an address beyond the app's own; None within."""
    parts = urlsplit(address)
    if not parts.scheme:
        return None
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:"
    origin = origin_of(address)
    return None if origin == settings.app_url else origin
