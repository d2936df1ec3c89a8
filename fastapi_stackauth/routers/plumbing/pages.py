"""The small HTML pages that links in emails open: plain forms without scripts or external files.

All values from a request are escaped, and a code is only in a hidden field. The referrer policy is `same-origin`,
because a form on a `no-referrer` page posts `Origin: null` (design decision 12).
"""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from string import Template
from urllib.parse import quote, urlsplit

from fastapi.responses import HTMLResponse

from fastapi_stackauth.errors import StackAuthError, VerificationCodeError
from fastapi_stackauth.errors.problems import get_error_headers
from fastapi_stackauth.models import User
from fastapi_stackauth.settings import Settings, to_origin

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; background: Canvas; color: CanvasText; }
main { max-width: 26rem; margin: 12vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.4rem; line-height: 1.25; }
label { display: block; margin: 1rem 0 .25rem; }
input, button { font: inherit; box-sizing: border-box; width: 100%; padding: .6rem .75rem; border-radius: .4rem; }
input { border: 1px solid GrayText; background: Field; color: FieldText; }
button { margin-top: 1.25rem; border: 0; background: #1f4fd8; color: #fff; cursor: pointer; }
button.other { background: none; color: CanvasText; border: 1px solid GrayText; }
:focus-visible { outline: 3px solid #7aa2ff; outline-offset: 2px; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p>$text</p>
$form</main>
</body>
</html>
"""
)
_FORM = Template(
    '<form method="post" action="$action">\n$fields<button type="submit">$button</button>\n$other</form>\n'
)
_OTHER_BUTTON = Template('<button type="submit" class="other" formaction="$action">$label</button>\n')
_HIDDEN = Template('<input type="hidden" name="$name" value="$value">\n')

_SECRET = Template(
    '<label for="secret">$label</label>\n<input id="secret" value="$value" readonly autocomplete="off">\n'
)
_LINK = Template('<p><a href="$address" rel="noreferrer">$label</a></p>\n')
_URL_SAFE = ":/%#?=@[]!$&'()*+,;"

RESET_FIELDS = (
    '<label for="password">New password</label>\n<input id="password" name="password" type="password" required '
    'minlength="8" pattern=".{8,70}" title="8 to 70 characters" autocomplete="new-password" aria-describedby="rule" '
    "autofocus>\n"
    '<p id="rule">8 to 70 characters.</p>\n'
)
"""The only visible field of these pages. There is no `maxlength`, which would silently cut off a pasted password."""


def message_page(
    title: str, text: str, *, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Return a page with a message."""
    return _page(title, text, "", "'none'", status_code, headers)


def form_page(
    title: str,
    text: str,
    *,
    action: str,
    hidden: Mapping[str, str],
    button: str,
    other_button: tuple[str, str] | None = None,
    note: str = "",
    fields: str = "",
    leads_to: str | None = None,
) -> HTMLResponse:
    """Return a page with a form.

    Args:
        title: The heading.
        text: The effect of the button.
        action: The target of the form, relative to the page, so that a proxy may add a prefix.
        hidden: Hidden values of the form, such as a code.
        button: The label of the button.
        other_button: The target and the label of a second button.
        note: A second paragraph.
        fields: Further fields, as trusted HTML.
        leads_to: Another origin to which the response redirects, because browsers apply the policy to a form's
            redirects too.
    """
    values = "".join(_HIDDEN.substitute(name=name, value=escape(value)) for name, value in hidden.items())
    other = (
        _OTHER_BUTTON.substitute(action=escape(other_button[0]), label=escape(other_button[1])) if other_button else ""
    )
    form = _FORM.substitute(action=escape(action), fields=values + fields, button=escape(button), other=other)
    if note:
        form = f"<p>{escape(note)}</p>\n{form}"
    return _page(title, text, form, f"'self' {leads_to}" if leads_to else "'self'")


def describe_account(user: User) -> str:
    """Return a description of the account that a browser is signed in as."""
    name = user.display_name or user.email or user.id
    return f"{name} ({user.email})" if user.email and user.email != name else name


def find_foreign_origin(address: str, settings: Settings) -> str | None:
    """Return the origin or the scheme of a URL outside of the app. None if it is inside."""
    parts = urlsplit(address)
    if not parts.scheme:
        return None
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:"
    origin = to_origin(address)
    return None if origin == settings.app_url else origin


def onward_page(address: str) -> HTMLResponse:
    """Return a page that automatically continues to another site, with a link for browsers that do not.

    Browsers apply the `form-action` of a page to the redirects after its forms, so a strict policy would silently stop
    a redirect to a provider. It does not apply to a URL that a new page opens.

    Args:
        address: An http or https address.
    """
    address = quote(address, safe=_URL_SAFE)  # a header may only contain ASCII
    link = _LINK.substitute(address=escape(address), label="Continue")
    text = "You are being redirected to another site to sign in. If nothing happens, follow the link."
    return _page("One moment", text, link, "'none'", 200, {"refresh": f"0; url={address}"})


def secret_page(title: str, text: str, *, label: str, value: str, next_page: str | None) -> HTMLResponse:
    """Return a page that shows a new secret, with a link to the next page if there is one."""
    shown = _SECRET.substitute(label=escape(label), value=escape(value))
    if next_page:
        shown += _LINK.substitute(address=escape(quote(next_page, safe=_URL_SAFE)), label="Continue")
    return _page(title, text, shown, "'none'", 201)


def error_page(error: StackAuthError) -> HTMLResponse:
    """Return the page for an error. It shows the error's message, which is a constant."""
    hint = "" if isinstance(error, VerificationCodeError) else " Go back and try again."
    headers = {name: value for name, value in get_error_headers(error).items() if name != "cache-control"}
    return message_page("That did not work", f"{error.message}{hint}", status_code=error.status_code, headers=headers)


def _page(
    title: str, text: str, form: str, form_action: str, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    html = _PAGE.substitute(title=escape(title), text=escape(text), style=_STYLE, form=form)
    return HTMLResponse(html, status_code, {**_headers(form_action), **(headers or {})})


def _headers(form_action: str) -> dict[str, str]:
    policy = (
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        f"form-action {form_action}",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
    return {
        "content-security-policy": "; ".join(policy),
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-language": "en",
    }
