"""Every error that this library raises on purpose, and the documents that callers get for them."""

from fastapi_stackauth.errors.server_codes import *  # noqa: F403 - the names stand once, in each module's `__all__`
from fastapi_stackauth.errors.tree import *  # noqa: F403 - likewise
