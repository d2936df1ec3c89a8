"""Decides how much a response reveals about an email that was not sent."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi_stackauth.errors import EmailAlreadyExists, RedirectUrlNotAllowed, SignUpNotEnabled
from fastapi_stackauth.runtime.events import EMAIL_NOT_SENT, AuthEvents, get_error_code


@contextmanager
def hiding_accounts(events: AuthEvents) -> Iterator[None]:
    """Hide errors of sending an email that reveal whether an account exists: the caller may not own the address.

    An untrusted link address is a fault of the set-up, but some servers find it for known addresses alone: it is logged
    as an error, and the response does not reveal it.
    """
    try:
        yield
    except (SignUpNotEnabled, EmailAlreadyExists) as error:
        events.emit(EMAIL_NOT_SENT, code=get_error_code(error))
    except RedirectUrlNotAllowed as error:
        log_untrusted_link(error, events)


def log_untrusted_link(error: RedirectUrlNotAllowed, events: AuthEvents) -> None:
    """Log for the operator why an email was not sent."""
    detail = f"{error.message} Links follow app_url, or `pages`."
    events.emit(EMAIL_NOT_SENT, level=logging.ERROR, code=get_error_code(error), detail=detail)
