"""Values of others as text for a terminal: short, and without anything that would move its cursor."""

import json

_LONGEST = 200


def printable(value: object) -> str:
    """A value in JSON, unprintable characters escaped, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    safe = "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}…"


def plain(text: str) -> str:
    """A text without its quotation marks, as safe as `printable`."""
    return printable(text)[1:-1] if len(text) <= _LONGEST else printable(text)[1:]
