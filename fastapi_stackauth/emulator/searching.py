"""Search for a text like the real server's database: `%` matches any text and `_` any character.

Law: the time is at most proportional to the product of the two lengths.
"""


def contains(value: str, text: str) -> bool:
    """Return whether a value contains a text with wildcards."""
    parts, start = [part for part in text.split("%") if part], 0
    for part in parts:  # use the first match of each part, which leaves the longest remainder for the others
        start = find(value, part, start)
        if start < 0:
            return False
        start += len(part)
    return True


def find(value: str, part: str, start: int) -> int:
    """Return the first position of a part in a value, or -1. `_` matches any character."""
    if "_" not in part:
        return value.find(part, start)
    for place in range(start, len(value) - len(part) + 1):
        if all(wanted in ("_", found) for wanted, found in zip(part, value[place : place + len(part)], strict=True)):
            return place
    return -1
