"""An auth server to develop and test against: real signed tokens, no network."""

from .ambient import Chance as Chance
from .ambient import Clock as Clock
from .emulator import Emulator as Emulator
from .emulator import emulator as emulator
