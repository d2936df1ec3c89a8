"""`make demo`: the example app on an embedded auth server, two real servers in one process; Ctrl-C stops both.

With STACK_PROJECT_ID (or HEXCLAVE_PROJECT_ID) set, the app talks to that project's server and no other is started.
"""

import asyncio
import os
import sys
from socket import socket

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import PortTaken, Served, bind, serve

LOOPBACK = "127.0.0.1"
APP_URLS = ("STACK_APP_URL", "HEXCLAVE_APP_URL")
PROJECT_IDS = ("STACK_PROJECT_ID", "HEXCLAVE_PROJECT_ID", "NEXT_PUBLIC_STACK_PROJECT_ID")


def port_from(name: str, default: int) -> int:
    """A port from the environment."""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        sys.exit(f"demo: {name} must be a port number, but is {value!r}")
    return int(value)


def listener(name: str, default: int) -> tuple[int, socket]:
    """A bound port, still without an app."""
    port = port_from(name, default)
    try:
        return port, bind(LOOPBACK, port)
    except PortTaken as error:
        sys.exit(f"demo: {error}. Choose another one: {name}={port + 1000} make demo")


def main() -> None:
    """Bind the ports, start what is needed, say where it is."""
    app_port, app_socket = listener("PORT", 8000)
    served: list[Served] = []
    if not any(os.environ.get(name) for name in PROJECT_IDS):
        port, emulator_socket = listener("EMULATOR_PORT", 8102)
        emulator = Emulator(f"http://localhost:{port}")
        os.environ.update(emulator.environment())
        served.append((emulator.app, emulator_socket))
        print(f"Auth server   http://localhost:{port}   (embedded, in memory; look inside: users, mails, settings)")
    if not any(os.environ.get(name) for name in APP_URLS):
        # Over plain http, on loopback alone, Safari keeps no Secure cookies.
        os.environ.update(STACK_APP_URL=f"http://localhost:{app_port}", STACK_INSECURE_COOKIES="true")
    from example_app.main import app, stack  # noqa: PLC0415 - it reads the environment that was just set

    if not served:
        print(f"Auth server   {stack.settings.base_url}   (project {stack.settings.project_id})")
    print(f"Example app   http://localhost:{app_port}")
    print(f"API docs      http://localhost:{app_port}/docs")
    print("Stop with Ctrl-C.", flush=True)
    asyncio.run(serve([*served, (app, app_socket)]))


if __name__ == "__main__":
    main()
