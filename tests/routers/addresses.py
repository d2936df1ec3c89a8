"""Addresses that a redirect must not lead to, made of the pieces that browsers and parsers read differently."""

from hypothesis import strategies as st

from tests.routers.callers import ORIGIN

ALLOWED = {ORIGIN, "https://front.example", "https://other.example"}

# What browsers read as the start of another address, and pieces to build such things from.
PIECES = st.sampled_from(
    ["/", "//", "\\", "/\\", "http:", "https:", "HTTPS://", "evil.example", "localhost:8000", "front.example", "@", ":",
     "%2f", "%5c", "%09", "\t", "\n", "\r", " ", "\u2028", "\uff0f", "\u3002", "\x00", "\x01", "?", "#", "..", ".",
     "javascript:", "data:text/html,", "myapp://auth/", "myapp:", "a", "[", "]", "\ud800", "ⓔvil.example", "&"]
)  # fmt: skip
ADDRESSES = st.one_of(st.lists(PIECES, max_size=8).map("".join), st.text(max_size=60))


def as_browsers_read(address: str) -> str:
    """An address as the URL Standard reads it: surrounding blanks, tabs and line breaks gone, backslashes turned."""
    stripped = address.strip("".join(map(chr, range(0x21))))
    for gone in "\t\n\r":
        stripped = stripped.replace(gone, "")
    head, mark, query = stripped.partition("?")
    return head.replace("\\", "/") + mark + query
