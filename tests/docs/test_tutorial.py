"""The tutorial, typed as it stands: two real servers and curl."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.docs.reader import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    while reader.processes:
        reader.stop()


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="the tutorial is typed with curl")
async def test_the_tutorial_leads_from_nothing_to_signed_in(reader: Reader, browser: Browser):
    install, emulator, serve, sign_up, refused, serve_site = (block.text.strip() for block in reader.console)
    assert "pip install" in install  # `make dist-check` installs the package
    main, addition = (block.text for block in reader.python)
    (reader.folder / "main.py").write_text(main)
    reader.start(emulator)
    reader.until_up("/", "8102")
    reader.start(serve)
    reader.until_up("/docs", "8000")

    said = reader.run(sign_up)
    assert '"email":"ada@example.com"' in said
    assert '"Hello, ada@example.com"' in said
    assert '"Hello, stranger"' in said
    token = sign_up.splitlines()[1]
    codes = reader.run(f"{token}\n{refused}")
    for status, code in (("401", "authentication_required"), ("401", "token_malformed"), ("403", "email_not_verified")):
        assert f"HTTP/1.1 {status}" in codes
        assert f'"code":"{code}"' in codes

    reader.stop()
    (reader.folder / "main.py").write_text(reader.type_text(main + addition))
    reader.start(serve_site)
    reader.until_up("/", "8000")
    page = await browser.new_page()
    for address, outcome in (("ada@example.com", "exists already"), ("bob@example.com", "Hello, ")):
        await page.goto(f"http://localhost:{reader.ports['8000']}/account")
        await page.get_by_role("link", name="Continue with GitHub").click()
        await page.get_by_label("Email address").fill(address)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text(outcome).wait_for()
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_role("heading", name="Your account").wait_for()
    await page.close()
