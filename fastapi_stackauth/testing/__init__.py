"""Help for testing apps that use this library."""

from fastapi_stackauth.testing.overrides import override_user

__all__ = ["override_user"]
