"""MCP: routes of the app as tools for AI agents. Needs the extra `mcp`, and is imported on first use."""

from typing import TYPE_CHECKING

from fastapi_stackauth.runtime.late import load_late

if TYPE_CHECKING:
    from fastapi_stackauth.mcp.mounting import mount
    from fastapi_stackauth.mcp.provider import StackAuthProvider, get_current_user, requires
    from fastapi_stackauth.mcp.tools import build_server
    from fastapi_stackauth.verification.resource_tokens import ResourceTokens

__all__ = ["ResourceTokens", "StackAuthProvider", "build_server", "get_current_user", "mount", "requires"]

if not TYPE_CHECKING:  # type checkers use the imports above, and report unknown names
    __getattr__, __dir__ = load_late(__name__, ("mounting", "tools", "provider"), __all__)
