"""docs/nginx.conf with what depends on Docker's network moved to loopback, for a real nginx."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tests.support.compose import GATEWAY, PROXY, ROOT

SECONDS = re.compile(r"(proxy_(?:read|send)_timeout) 20s;")


def proxy_command(folder: Path, port: int, addresses: Mapping[str, int], *, timeout: str = "20s") -> list[str]:
    """Write the configuration and return the command that runs nginx with it.

    Args:
        folder: where nginx may write.
        port: the loopback port that it listens on.
        addresses: the loopback port of each `name:port` of the configuration.
        timeout: stands in for the short timeout.
    """
    text = (ROOT / "docs/nginx.conf").read_text("utf-8")
    text, shortened = SECONDS.subn(rf"\1 {timeout};", text)
    assert shortened == 2
    for old, new in (
        ("resolver 127.0.0.11 valid=10s;", ""),  # Docker's name server
        (" resolve ", " "),
        ("set_real_ip_from gateway;", f"set_real_ip_from {GATEWAY};"),
        ("listen 8080;", f"listen 127.0.0.1:{port}; proxy_bind {PROXY};"),
        ("/tmp/", f"{folder}/"),
        *((address, f"127.0.0.1:{number}") for address, number in addresses.items()),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "nginx.conf"
    path.write_text(text, "utf-8")
    foreground = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")  # else it may not enter the folder
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(path), "-g", foreground]
