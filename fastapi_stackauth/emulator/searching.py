"""Search for a text as the real server's database does: `%` matches any text and `_` any character.

Law: the time is bounded by the product of the two lengths, whatever the text holds.
"""


def contains(value: str, text: str) -> bool:
    """Return whether a text with wildcards is found anywhere in a value."""
    parts, start = [part for part in text.split("%") if part], 0
    for part in parts:  # each at its first place: what is left for the rest is longest then
        start = find(value, part, start)
        if start < 0:
            return False
        start += len(part)
    return True


def find(value: str, part: str, start: int) -> int:
    """Return the first position of a part, in which `_` is any character, in a value; or -1."""
    if "_" not in part:
        return value.find(part, start)
    for place in range(start, len(value) - len(part) + 1):
        if all(wanted in ("_", found) for wanted, found in zip(part, value[place : place + len(part)], strict=True)):
            return place
    return -1
