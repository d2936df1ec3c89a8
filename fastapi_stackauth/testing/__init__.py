"""Helpers for testing apps that use this library, with or without pytest. See `docs/testing.md`.

The package includes a pytest plugin that provides all of this as fixtures: `stack_user`, `stack_client` and so on.
"""

from fastapi_stackauth.testing.clients import Clients, SyncClients, signed_in
from fastapi_stackauth.testing.clock import Clock
from fastapi_stackauth.testing.kit import Kit, emulate
from fastapi_stackauth.testing.outbox import Email, Outbox
from fastapi_stackauth.testing.overrides import override_user
from fastapi_stackauth.testing.routes import unguarded_routes
from fastapi_stackauth.testing.tokens import TokenFactory
from fastapi_stackauth.testing.users import KitUser, Users

__all__ = [
    "Clients",
    "Clock",
    "Email",
    "Kit",
    "KitUser",
    "Outbox",
    "SyncClients",
    "TokenFactory",
    "Users",
    "emulate",
    "override_user",
    "signed_in",
    "unguarded_routes",
]
