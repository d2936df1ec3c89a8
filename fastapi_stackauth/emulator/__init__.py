"""An auth server to develop and test against: real signed tokens, no network."""

from .ambient import Chance as Chance
from .ambient import Clock as Clock
from .emulator import Emulator as Emulator
from .emulator import emulator as emulator
from .server_profile import APRIL_2026 as APRIL_2026
from .server_profile import NEWEST as NEWEST
from .server_profile import ServerProfile as ServerProfile
