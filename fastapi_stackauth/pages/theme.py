"""`Theme`: the look of the prebuilt pages. Its values are inserted into the stylesheet.

Law: every value must match a strict pattern before it is inserted into the stylesheet or a page.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.pages.colors import READABLE, find_text_color, make_readable, measure_contrast

MAX_NAME = 100
_COLOR = re.compile(r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
_LENGTH = re.compile(r"0|[0-9]{1,2}(?:\.[0-9]{1,3})?(?:px|rem|em)")
_FAMILY = re.compile(r"""[A-Za-z][A-Za-z0-9-]*(?: [A-Za-z0-9-]+)*|"[A-Za-z0-9][A-Za-z0-9 -]*\"""")
_MAX_FONT = 500
_ADDRESS = re.compile(r"[A-Za-z0-9/._~:?#@!$&*+,=%-]{1,500}")
_TEXT_LIGHT, _TEXT_DARK = "#1c2426", "#e7ecec"

_EXAMPLES = {
    "accent": '"#0f766e"',
    "radius": '"8px" or "0.5rem"',
    "font": "'Inter, system-ui, sans-serif'",
    "address": '"/static/logo.svg" or "https://cdn.example.com/logo.svg"',
}


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The look of the prebuilt pages. Every value is optional.

    Attributes:
        name: The app's name. By default, the project's name.
        logo: The URL of an image: a path of the app, or an https URL.
        logo_dark: The image for dark mode. By default, `logo`.
        accent: The color of buttons and links, such as ``#0f766e``. Text on it is black or white, whichever is easier
            to read, and links become darker or lighter until they are readable.
        accent_dark: The color for dark mode. By default, `accent`.
        background: The background color of the pages in light mode.
        background_dark: The background color in dark mode.
        radius: The radius of corners: a length such as ``8px`` or ``0.5rem``.
        font: Font families, separated by commas.
        terms_url: The URL of your terms of service. Every page links to it.
        privacy_url: The URL of your privacy policy. Every page links to it.
        stylesheet: Your own stylesheet, loaded after the pages' own: a path of the app, or an https URL.

    Raises:
        ConfigurationError: A value is not valid, or text on a background would be unreadable.

    Example:
        >>> Theme(name="Acme", accent="#0f766e", radius="4px").accent
        '#0f766e'
    """

    name: str | None = None
    logo: str | None = None
    logo_dark: str | None = None
    accent: str = "#0f766e"
    accent_dark: str | None = None
    background: str = "#f7f8f8"
    background_dark: str = "#14181a"
    radius: str = "8px"
    font: str = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
    terms_url: str | None = None
    privacy_url: str | None = None
    stylesheet: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        for name in ("accent", "accent_dark", "background", "background_dark"):
            _check(name, getattr(self, name), _COLOR, "a color in hexadecimal", _EXAMPLES["accent"])
        _check("radius", self.radius, _LENGTH, "a length", _EXAMPLES["radius"])
        families = self.font.split(",") if isinstance(self.font, str) and len(self.font) <= _MAX_FONT else [""]
        for family in families:
            if not _FAMILY.fullmatch(family.removeprefix(" ")):
                raise ConfigurationError(
                    f"Theme: font must be font families, separated by commas, such as {_EXAMPLES['font']}; "
                    f"got {self.font!r:.200}."
                )
        for name in ("logo", "logo_dark", "terms_url", "privacy_url", "stylesheet"):
            _check_address(name, getattr(self, name))
        for name, color in (("background", _TEXT_LIGHT), ("background_dark", _TEXT_DARK)):
            _check_contrast(name, getattr(self, name), color)

    @property
    def origins(self) -> tuple[str, ...]:
        """The other origins that serve the images and the stylesheet, for the Content-Security-Policy."""
        addresses = (self.logo, self.logo_dark, self.stylesheet)
        parts = [urlsplit(address) for address in addresses if address and address.startswith("https://")]
        return tuple(sorted({f"https://{each.netloc}" for each in parts}))

    def to_css(self) -> str:
        """Return the custom properties of the stylesheet for light and dark mode."""
        accent_dark = self.accent_dark or self.accent
        colors = {
            "page": (self.background, self.background_dark),
            "ink": (_TEXT_LIGHT, _TEXT_DARK),
            "accent": (self.accent, accent_dark),
            "on-accent": (find_text_color(self.accent), find_text_color(accent_dark)),
            "link": (make_readable(self.accent, self.background), make_readable(accent_dark, self.background_dark)),
        }
        lines = [f"  --{name}: light-dark({light}, {dark});" for name, (light, dark) in colors.items()]
        lines += [f"  --radius: {self.radius};", f"  --font: {self.font};"]
        return "\n".join((":root {", *lines, "}\n"))


def _check_name(name: object) -> None:
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()):
        raise ConfigurationError(
            f"Theme: name must be printable text of at most {MAX_NAME} characters; got {name!r:.200}. "
            'Write Theme(name="Acme").'
        )


def _check(name: str, value: object, pattern: re.Pattern[str], what: str, example: str) -> None:
    if value is None and name == "accent_dark":
        return
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ConfigurationError(f"Theme: {name} must be {what}, such as {example}; got {value!r:.200}.")


def _check_address(name: str, value: object) -> None:
    if value is None:
        return
    plain = isinstance(value, str) and _ADDRESS.fullmatch(value) and "@" not in value
    if not plain or not (re.match(r"/(?!/)|https://[A-Za-z0-9]", str(value))):
        raise ConfigurationError(
            f"Theme: {name} must be a path of the app or an https URL, such as {_EXAMPLES['address']}; "
            f"got {value!r:.200}."
        )


def _check_contrast(name: str, background: str, text: str) -> None:
    contrast = measure_contrast(background, text)
    if contrast < READABLE:
        kind = "light" if name == "background" else "dark"
        raise ConfigurationError(
            f"Theme: text on {name}={background!r} has a contrast ratio of {contrast:.1f}, but it must be at least "
            f"{READABLE} (WCAG 2.2). Choose a {'lighter' if kind == 'light' else 'darker'} color for {kind} mode."
        )
