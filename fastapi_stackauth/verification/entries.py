"""`Entries`: strings and their expiry, stored in many small dicts.

Growing or copying one large dict would block the event loop: for a tenth of a second with a million entries.
"""

from collections.abc import Iterable, Iterator

_PARTS = 256


class Entries:
    """Entries and their expiry in Unix time.

    Attributes:
        filled: False if there are no entries. After a removal other than `sweep` it may still be True.
    """

    def __init__(self) -> None:
        self._parts: tuple[dict[str, float], ...] = tuple({} for _ in range(_PARTS))
        self._next = 0
        self.filled = False

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __contains__(self, entry: str) -> bool:
        return entry in self._find_part(entry)

    def _find_part(self, entry: str) -> dict[str, float]:
        return self._parts[hash(entry) % _PARTS]

    def get(self, entry: str) -> float | None:
        """Return the expiry of an entry, or None."""
        return self._parts[hash(entry) % _PARTS].get(entry)

    def put(self, entry: str, until: float) -> None:
        """Add an entry. An earlier time never replaces a later one."""
        part = self._find_part(entry)
        part[entry] = max(until, part.get(entry, 0.0))
        self.filled = True

    def discard(self, entry: str, until: float) -> None:
        """Remove an entry if it expires at this time or earlier."""
        part = self._find_part(entry)
        if part.get(entry) == until:
            part.pop(entry, None)

    def discard_all(self, entries: Iterable[str]) -> None:
        """Remove these entries, whatever their expiry."""
        for entry in entries:
            self._find_part(entry).pop(entry, None)

    def pieces(self) -> Iterator[list[tuple[str, float]]]:
        """Yield all entries in pieces, each of which is a copy."""
        for part in self._parts:
            yield list(part.items())

    def sweep(self, now: float, added: int) -> None:
        """Remove expired entries from some parts, so that each part is cleaned before the list can double in size.

        Args:
            now: Unix time in seconds.
            added: The number of entries since the last call.
        """
        for _ in range(min(_PARTS, 1 + 2 * added * _PARTS // max(len(self), 1))):
            part, self._next = self._parts[self._next], (self._next + 1) % _PARTS
            for entry in [entry for entry, until in list(part.items()) if until <= now]:
                part.pop(entry, None)
        self.filled = False  # first: another thread may be adding an entry
        self.filled = any(self._parts)


def in_slices(entries: Iterable[tuple[str, float]], size: int) -> Iterator[dict[str, float]]:
    """Yield entries in dicts of at most this size."""
    pairs = list(entries)
    for start in range(0, len(pairs), size):
        yield dict(pairs[start : start + size])
