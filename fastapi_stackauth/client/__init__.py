"""The async client of the auth server's REST API. Knows nothing of FastAPI."""

from fastapi_stackauth.client.client import StackAuthClient
from fastapi_stackauth.client.paging import Listing, Page

__all__ = ["Listing", "Page", "StackAuthClient"]
