"""What the demo makes of variables that are set where it is started."""

import os
from pathlib import Path

import pytest

from example_app.__main__ import make_auth_server
from fastapi_stackauth import Settings
from tests.support.redis_server import free_port


@pytest.mark.parametrize("name", ["HEXCLAVE_SECRET_SERVER_KEY", "STACK_SECRET_SERVER_KEY", "HEXCLAVE_API_URL"])
@pytest.mark.parametrize("suffix", ["", "_FILE"])
def test_the_app_asks_the_embedded_server_whatever_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, suffix: str
):
    (tmp_path / "secret").write_text("http://other.example", "utf-8")
    value = str(tmp_path / "secret") if suffix else "http://other.example"
    port = free_port()
    monkeypatch.setattr(os, "environ", {name + suffix: value})
    url = make_auth_server(port, 8000).url
    settings = Settings()
    assert settings.base_url == url == f"http://localhost:{port}"
    assert settings.secret_server_key is not None
    assert settings.secret_server_key.get_secret_value().startswith("ssk_")
