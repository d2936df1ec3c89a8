"""Trusted domains: wildcards in host and port, hosted pages, and what a rejection says."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_stackauth.emulator import Emulator, trust

from .api import Api, assert_rejected

EMULATOR = Emulator(config={"domains": [{"domain": "https://**.example:*"}]})
SEND = "/auth/otp/send-sign-in-code"


async def status(api: Api, address: str) -> int:
    """Return how a mail with a link to an address is answered."""
    body = {"email": "ada@example.com", "callback_url": address}
    return (await api.post(SEND, body)).status_code


@pytest.mark.parametrize("profile", ["newest", "april-2026"])
@pytest.mark.parametrize(
    ("domain", "address", "trusted"),
    [
        ("https://*.example.com:*", "https://a.example.com:4433/x", True),
        ("https://*.example.com:*", "https://a.example.com/x", True),
        ("https://*.example.com:*", "http://a.example.com:4433/x", False),
        ("https://*.example.com:*", "https://a.b.example.com:4433/x", False),
        ("https://app.example:*", "https://app.example:1/", True),
        ("https://**.example.com", "https://a.b.example.com/", True),
        ("https://*.example.com", "https://a.example.com:4433/", False),
        ("https://*.example.com:443", "https://a.example.com/", True),
        ("https://app.example:8443/handler", "https://app.example:8443/", True),
        ("https://app.example:8443", "https://app.example/", False),
        ("http://[::1]:*", "http://[::1]:3000/", True),
        ("https://app.example", "https://evil.example\\@app.example/", False),
    ],
)
def test_wildcards_stand_for_hosts_and_ports(profile: str, domain: str, address: str, trusted: bool) -> None:
    emulator = Emulator(profile=profile, config={"allow_localhost": False, "domains": [{"domain": domain}]})
    assert trust.is_trusted(emulator.server, emulator.project, address) is trusted
    emulator.close()


@pytest.mark.parametrize(
    "domain", ["https://a:b", "https://a:*9", "https://", "ftp://a.example", "https://a b", "https://a:123456"]
)
def test_what_is_no_domain_is_no_setting(domain: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        Emulator(config={"domains": [{"domain": domain}]})


@given(st.text(), st.text())
def test_no_address_and_no_domain_is_an_error(address: str, domain: str) -> None:
    for prefix in ("", "https://"):
        trust.matches(urlsplit("https://a.example:1"), prefix + domain)
        assert trust.is_trusted(EMULATOR.server, EMULATOR.project, prefix + address) in (True, False)


async def test_the_vendors_hosted_pages_are_trusted(api: Api, april: Api) -> None:
    for domain in ("built-with-hexclave.com", "built-with-stack-auth.com"):
        assert await status(api, f"https://{api.emulator.project_id}.{domain}/handler") == 200
        assert await status(api, f"https://other.{domain}/handler") == 400
        assert await status(april, f"https://{april.emulator.project_id}.{domain}/handler") == 400


async def test_a_rejection_names_the_address(api: Api, april: Api) -> None:
    body = {"email": "ada@example.com", "callback_url": "https://evil.example/x"}
    answer = await api.post(SEND, body)
    assert assert_rejected(answer, 400, "REDIRECT_URL_NOT_WHITELISTED") == {"redirect_url": "https://evil.example/x"}
    assert "details" not in (await april.post(SEND, body)).json()
