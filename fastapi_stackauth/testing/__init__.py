"""Help for testing apps that use this library, with pytest or without. See `docs/testing.md`.

With pytest, a plugin that comes with the package gives all this as fixtures: `stack_user`, `stack_client` and so on.
"""

from fastapi_stackauth.testing.clients import Clients, SyncClients, signed_in
from fastapi_stackauth.testing.clock import Clock
from fastapi_stackauth.testing.kit import Kit, emulate
from fastapi_stackauth.testing.mail import Mail, Outbox
from fastapi_stackauth.testing.overrides import override_user
from fastapi_stackauth.testing.people import Person, Users
from fastapi_stackauth.testing.routes import unguarded_routes
from fastapi_stackauth.testing.tokens import TokenFactory

__all__ = [
    "Clients",
    "Clock",
    "Kit",
    "Mail",
    "Outbox",
    "Person",
    "SyncClients",
    "TokenFactory",
    "Users",
    "emulate",
    "override_user",
    "signed_in",
    "unguarded_routes",
]
