"""The errors that this library raises, and the problem documents that it returns for them."""

from fastapi_stackauth.errors.server_codes import *  # noqa: F403 - each module's `__all__` lists its names
from fastapi_stackauth.errors.tree import *  # noqa: F403 - likewise
