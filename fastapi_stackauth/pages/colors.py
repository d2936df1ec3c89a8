"""The contrast of colors (WCAG 2.2), so that text is readable with any accent color."""

Color = tuple[float, float, float]

READABLE = 4.5
"""The minimum contrast of text (WCAG 2.2, success criterion 1.4.3)."""
BLACK, WHITE = "#000000", "#ffffff"
_STEPS = 20


def parse_color(text: str) -> Color:
    """Return the red, green and blue of a hexadecimal color, each from 0 to 1."""
    digits = text.removeprefix("#")
    whole = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    red, green, blue = (int(whole[start : start + 2], 16) / 255 for start in (0, 2, 4))
    return red, green, blue


def measure_contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors, from 1 to 21."""
    lighter, darker = sorted((_luminance(parse_color(one)), _luminance(parse_color(other))), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def find_text_color(background: str) -> str:
    """Return black or white, whichever is easier to read on a background."""
    return max((BLACK, WHITE), key=lambda color: measure_contrast(color, background))


def make_readable(color: str, background: str) -> str:
    """Return the color, made just dark or light enough for readable text on a background."""
    target = parse_color(find_text_color(background))
    own = parse_color(color)
    for step in range(_STEPS + 1):
        mixed = [part + (end - part) * step / _STEPS for part, end in zip(own, target, strict=True)]
        candidate = "#" + "".join(f"{round(part * 255):02x}" for part in mixed)
        if measure_contrast(candidate, background) >= READABLE:
            return candidate
    return find_text_color(background)


def _luminance(color: Color) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
