"""The HTTP layer between the library and an app: installation, error responses, OpenAPI, webhooks and health."""

from typing import TYPE_CHECKING

from fastapi_stackauth.runtime.late import load_late

if TYPE_CHECKING:
    from fastapi_stackauth.http.webhooks import WebhookRouter

__all__ = ["WebhookRouter"]

if not TYPE_CHECKING:  # type checkers use the import above, and report unknown names
    __getattr__, __dir__ = load_late(__name__, ("webhooks",), __all__)
