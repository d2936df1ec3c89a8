"""The auth server of a drill, as a process: `python -m tests.drills.auth_server PORT PUBLIC_URL DATA LIFETIME`.

Its tokens live for seconds, so that sessions are renewed all the time. Killed and begun anew it knows everybody yet.
"""

import asyncio
import sys
from contextlib import closing
from pathlib import Path

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import bind, serve

PROJECT = "6f0f9b0e-3a57-4f1c-9b53-1f2f0d4b6c11"


def main(port: str, public_url: str, data: str, lifetime: str) -> None:
    """Serve until a signal ends it."""
    emulator = Emulator(public_url, project_id=PROJECT, data=Path(data), token_lifetime=int(lifetime))
    with closing(emulator):
        asyncio.run(serve([(emulator.app, bind("127.0.0.1", int(port)))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
