"""docker-compose.yml as data: read, its variables filled in, its addresses moved to loopback.

Only the forms that our file uses are understood; anything else fails loudly.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.redis_server import free_port

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
PROXY = "127.0.0.42"  # where the proxy calls from in a test, so that trusting 127.0.0.1, as uvicorn does, is not enough
GATEWAY = "127.0.0.43"  # where a proxy before it calls from
IMAGE = "stackauth-example:local"  # of the app and the emulator
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?P<default>-|:\?[^}$]*)\}")
Service = dict[str, Any]


def fill_in(text: str, variables: Mapping[str, str]) -> str:
    """Fill in `${NAME-}` and `${NAME:?reason}` as the specification says.

    Raises:
        KeyError: a demanded variable is missing or empty.
    """

    def value(found: re.Match[str]) -> str:
        name = found["name"]
        if found["default"] != "-" and not variables.get(name):
            raise KeyError(name)
        return variables.get(name, "")

    done = VARIABLE.sub(value, text)
    assert "$" not in done, "a form of variable that this reader does not know"
    return done


def document(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The whole file; without variables as it is written."""
    loaded: dict[str, Any] = yaml.safe_load(TEXT if variables is None else fill_in(TEXT, variables))
    return loaded


def services(profile: str, variables: Mapping[str, str] | None = None) -> dict[str, Service]:
    """The services that a profile starts."""
    every: dict[str, Service] = document(variables)["services"]
    return {name: service for name, service in every.items() if profile in service["profiles"]}


def aliases(service: Service) -> list[str]:
    """The other names by which the services of its networks reach it."""
    networks = service.get("networks", [])
    given = networks.values() if isinstance(networks, dict) else []
    return [alias for network in given if network for alias in network.get("aliases", [])]


@dataclass
class Loopback:
    """Where the services of a profile are in a test: each `name:port` of theirs is a free loopback port."""

    folder: Path
    ports: dict[str, int]
    prefix: str

    @classmethod
    def of(cls, addresses: list[str], folder: Path, prefix: str) -> "Loopback":
        """Take a free port for each address; the proxy's and the gateway's become `PROXY` and `GATEWAY`."""
        return cls(folder, {address: free_port() for address in addresses}, prefix)

    def port(self, address: str) -> int:
        """The port that stands for an address such as `redis:6379`."""
        return self.ports[address]

    def to_new_folder(self, text: str) -> str:
        """A command's word, or a value, with addresses, the proxies' network and the folders moved."""
        for address, port in self.ports.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(address)}(?!\d)", f"127.0.0.1:{port}", text)
        text = text.replace("/app/example_app/", f"{ROOT}/example_app/").replace("/data/", f"{self.folder}/")
        text = text.replace("/run/secrets/", f"{self.secrets}/")
        return {f"{self.prefix}.2": PROXY, f"{self.prefix}.129": GATEWAY}.get(text, text)

    @property
    def secrets(self) -> Path:
        """The folder that holds what containers find under /run/secrets."""
        return self.folder / "run-secrets"

    def write_secret(self, name: str, text: str) -> None:
        """Put a secret where the services of a test find it."""
        self.secrets.mkdir(exist_ok=True)
        (self.secrets / name).write_text(self.to_new_folder(text), "utf-8")

    def command(self, name: str, service: Service) -> list[str]:
        """A service's command, listening on its loopback port."""
        words = [self.to_new_folder(word) for word in service["command"]]
        inner = words[words.index("--port") + 1]
        words[words.index("--port") + 1] = str(self.port(f"{name}:{inner}"))
        return ["127.0.0.1" if word == "0.0.0.0" else word for word in words]

    def environment(self, service: Service) -> dict[str, str]:
        """A service's environment."""
        return {name: self.to_new_folder(str(value)) for name, value in service.get("environment", {}).items()}
