"""The shared parts of every operation: the store, the clock, chance, tokens and the address of this server.

Law: one instance a server; no module holds state.
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
    """The running server's parts.

    Args:
        public_url: the address under which apps reach this server, in links and issuers.
        data: the SQLite file; in memory when None.
        clock: the time; the system's by default.
        chance: randomness; the system's by default.
        token_lifetime: seconds until an access token expires.
        profile: which version of the real auth server this one plays.
        fast_hashes: use the cheapest password hashes.
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
