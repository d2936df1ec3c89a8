"""An auth server for development and tests, with real signed tokens and without a network."""

import sys

try:
    from .clock import Chance as Chance
    from .clock import Clock as Clock
    from .emulator import Emulator as Emulator
    from .emulator import emulator as emulator
    from .server_profile import APRIL_2026 as APRIL_2026
    from .server_profile import NEWEST as NEWEST
    from .server_profile import ServerProfile as ServerProfile
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith(__name__.partition(".")[0]):
        raise
    message = f"The emulator needs {missing.name}. Install its extra: pip install 'fastapi-stackauth[emulator]'"
    if sys.argv[:1] == ["-m"] and __name__ in sys.orig_argv:  # `python -m` loads this file before `__main__.py`
        sys.exit(message)
    raise ModuleNotFoundError(message, name=missing.name) from None
