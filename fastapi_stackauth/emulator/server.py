"""The parts that all operations share: the store, the clock, randomness, tokens and the URL of the server.

Law: there is one instance per server, and no module-level state.
"""

from pathlib import Path

from .calls import Calls
from .clock import Chance, Clock
from .faults import Faults
from .passwords import Passwords
from .server_profile import NEWEST, ServerProfile
from .store import Store
from .tokens import LIFETIME_SECONDS, Tokens
from .webhooks import Webhooks


class Server:
    """The parts of a running server.

    Args:
        public_url: The URL under which apps reach this server, in links and issuers.
        data: The SQLite file. None keeps the data in memory.
        clock: The clock. By default, the system's.
        chance: The source of randomness. By default, the system's.
        token_lifetime: Seconds until an access token expires.
        profile: The version of the real auth server to emulate.
        fast_hashes: Use the cheapest password hashes.
    """

    def __init__(
        self,
        public_url: str,
        data: Path | None = None,
        clock: Clock | None = None,
        chance: Chance | None = None,
        token_lifetime: int = LIFETIME_SECONDS,
        profile: ServerProfile = NEWEST,
        *,
        fast_hashes: bool = False,
    ) -> None:
        self.public_url = public_url.rstrip("/")
        self.profile = profile
        self.clock = clock or Clock()
        self.chance = chance or Chance()
        self.store = Store(data, self.clock, self.chance)
        self.tokens = Tokens(self.store, self.clock, self.public_url, token_lifetime)
        self.passwords = Passwords(fast_hashes=fast_hashes)
        self.faults = Faults(self.clock)
        self.calls = Calls()
        self.webhooks = Webhooks(self.clock, self.chance, self.store.projects.webhook_secret)
