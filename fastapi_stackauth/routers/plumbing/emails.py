"""Decides how much a response reveals about an email that was not sent."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi_stackauth.errors import EmailAlreadyExists, RedirectUrlNotAllowed, SignUpNotEnabled
from fastapi_stackauth.runtime.events import EMAIL_NOT_SENT, AuthEvents, get_error_code


@contextmanager
def hiding_accounts(events: AuthEvents) -> Iterator[None]:
    """Hide errors in sending an email that would reveal to any caller whether an account exists.

    An untrusted link is a configuration error, but some servers only report it for known addresses. So it is logged as
    an error, and the response does not reveal it.
    """
    try:
        yield
    except (SignUpNotEnabled, EmailAlreadyExists) as error:
        events.emit(EMAIL_NOT_SENT, code=get_error_code(error))
    except RedirectUrlNotAllowed as error:
        log_untrusted_link(error, events)


def log_untrusted_link(error: RedirectUrlNotAllowed, events: AuthEvents) -> None:
    """Log why an email was not sent, for the operator."""
    detail = f"{error.message} Links follow app_url, or `pages`."
    events.emit(EMAIL_NOT_SENT, level=logging.ERROR, code=get_error_code(error), detail=detail)
