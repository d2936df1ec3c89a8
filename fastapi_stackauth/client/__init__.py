"""The async client for the auth server's REST API. It does not depend on FastAPI."""

from fastapi_stackauth.client.client import StackAuthClient
from fastapi_stackauth.client.paging import Listing, Page

__all__ = ["Listing", "Page", "StackAuthClient"]
