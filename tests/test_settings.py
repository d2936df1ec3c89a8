"""Settings: where they come from, what wins, what is derived, and that no secret shows."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from fastapi_stackauth import ConfigurationError, Settings, StackAuth, TokenKind
from fastapi_stackauth.settings import (
    Options,
    environment_names,
    secret_file_names,
    to_origin,
    variables_in_use,
    variables_unread,
)
from tests.support.rows import rows

PROJECT = "6ac0b36b-068b-4366-9248-801f04013847"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch):
    for field in Settings.model_fields:
        for name in environment_names(field) + secret_file_names(field):
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("STACK_PROJECT_ID", "project_id"),
        ("HEXCLAVE_PROJECT_ID", "project_id"),
        ("NEXT_PUBLIC_STACK_PROJECT_ID", "project_id"),
        ("STACK_PUBLISHABLE_CLIENT_KEY", "publishable_client_key"),
        ("HEXCLAVE_PUBLISHABLE_CLIENT_KEY", "publishable_client_key"),
        ("NEXT_PUBLIC_STACK_PUBLISHABLE_CLIENT_KEY", "publishable_client_key"),
        ("STACK_SECRET_SERVER_KEY", "secret_server_key"),
        ("HEXCLAVE_SECRET_SERVER_KEY", "secret_server_key"),
    ],
)
def test_each_documented_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch, name: str, field: str):
    monkeypatch.setenv(name, "some-value")
    value = getattr(Settings(), field)
    assert (value if isinstance(value, str) else value.get_secret_value()) == "some-value"


@pytest.mark.parametrize("name", ["STACK_API_URL", "HEXCLAVE_API_URL", "NEXT_PUBLIC_STACK_API_URL"])
def test_the_servers_address_comes_from_each_of_its_variables(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "http://localhost:8102/")
    assert Settings().base_url == "http://localhost:8102"


def test_the_apps_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STACK_APP_URL", "https://app.example.com/")
    assert Settings().app_url == "https://app.example.com"


def test_the_newer_variable_wins_and_arguments_beat_both(monkeypatch: pytest.MonkeyPatch):
    """The newer name is read first and a keyword argument wins over both."""
    monkeypatch.setenv("STACK_PROJECT_ID", "old")
    assert Settings().project_id == "old"
    monkeypatch.setenv("HEXCLAVE_PROJECT_ID", "new")
    assert Settings().project_id == "new"
    assert Settings(project_id="given").project_id == "given"
    assert StackAuth(project_id="given").settings.project_id == "given"


SECRETS = {
    "publishable_client_key": "pck_from_a_file",
    "secret_server_key": "ssk_from_a_file",
    "redis_url": "redis://:hunter2@localhost:6379/0",
    "webhook_secrets": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def test_every_secret_setting_can_come_from_a_file():
    def holds_a_secret(name: str) -> bool:
        return "SecretStr" in str(Settings.model_fields[name].annotation)

    assert set(filter(holds_a_secret, Settings.model_fields)) == {name for name in SECRETS if secret_file_names(name)}


@pytest.mark.parametrize("field", SECRETS)
def test_a_secret_is_read_from_the_file_that_a_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, field: str
):
    (tmp_path / "secret").write_text(f"{SECRETS[field]}\n")
    for name in secret_file_names(field):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(tmp_path / "secret"))
            value = getattr(Settings(), field)
            (one,) = value if isinstance(value, tuple) else (value,)
            assert one.get_secret_value() == SECRETS[field]
            assert not [unread for unread in variables_unread() if unread == name]


def test_a_file_and_a_value_for_one_variable_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "secret").write_text(SECRETS["redis_url"])
    monkeypatch.setenv("STACK_REDIS_URL_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("STACK_REDIS_URL", "redis://:hunter3@localhost:6379/1")
    with pytest.raises(ConfigurationError, match="STACK_REDIS_URL and STACK_REDIS_URL_FILE are both set") as error:
        StackAuth()
    assert "hunter" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff", b"redis://:hunter2@x/" + b"a" * 20_000], ids=range(3))
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("HEXCLAVE_REDIS_URL_FILE", str(path))
    with pytest.raises(ConfigurationError, match="HEXCLAVE_REDIS_URL_FILE must name a readable text file") as error:
        StackAuth()
    assert str(path) in str(error.value)
    assert "hunter2" not in str(error.value)


def test_an_empty_file_counts_as_absent_only_secrets_have_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "empty").write_text("\n")
    monkeypatch.setenv("STACK_REDIS_URL_FILE", str(tmp_path / "empty"))
    monkeypatch.setenv("STACK_PROJECT_ID_FILE", str(tmp_path / "empty"))
    assert Settings().redis_url is None
    assert Settings().project_id is None
    assert "STACK_PROJECT_ID_FILE" in variables_unread()


@pytest.mark.parametrize("prefix", ["", "NEXT_PUBLIC_"])
def test_hexclave_wins_over_stack_for_every_setting(prefix: str):
    for field in Settings.model_fields:
        names = [name for name in environment_names(field) if name.startswith(("HEXCLAVE_", "STACK_"))]
        assert [name.partition("_")[0] for name in names] == ["HEXCLAVE", "STACK"]
        framework = [name.removeprefix("NEXT_PUBLIC_") for name in environment_names(field)[2:]]
        assert framework in ([], names)


def at_start(caplog: pytest.LogCaptureFixture, **options: Any) -> list[str]:
    app = FastAPI()
    StackAuth(**options).install(app)

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with caplog.at_level("WARNING", "fastapi_stackauth"):
        asyncio.run(start())
    return [record.getMessage() for record in caplog.records]


def test_two_brands_with_two_values_are_one_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """It names the variables and never a value: the setting may be a key."""
    monkeypatch.setenv("STACK_SECRET_SERVER_KEY", "ssk_old_secret")
    monkeypatch.setenv("HEXCLAVE_SECRET_SERVER_KEY", "ssk_new_secret")
    [warning] = at_start(caplog)
    assert warning == ("variables_conflict used=HEXCLAVE_SECRET_SERVER_KEY ignored=STACK_SECRET_SERVER_KEY")


def test_nothing_is_warned_of_that_changes_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setenv("STACK_PROJECT_ID", "same")
    monkeypatch.setenv("HEXCLAVE_PROJECT_ID", "same")
    assert at_start(caplog) == []
    monkeypatch.setenv("STACK_PROJECT_ID", "other")
    assert at_start(caplog, project_id="given") == []


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STACK_PROJECT_ID", "")
    assert Settings().project_id is None


def test_lists_are_comma_separated_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STACK_ISSUERS", "https://a.example.com/api/v1, http://b.example.com:80")
    assert Settings().issuers == ("https://a.example.com", "http://b.example.com")


def test_no_secret_shows_in_a_repr_or_a_dump():
    settings = Settings(project_id=PROJECT, publishable_client_key="pck_hidden", secret_server_key="ssk_hidden")
    stack = StackAuth(project_id=PROJECT, secret_server_key="ssk_hidden")
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(stack), repr(stack.client)):
        assert "hidden" not in text


def test_an_app_without_environment_names_what_is_missing():
    """An app can be built with an empty environment and says at first use what is missing."""
    settings = StackAuth().settings
    with pytest.raises(ConfigurationError, match="STACK_PROJECT_ID"):
        settings.require_project_id()


@rows(
    "options",
    [
        {"base_url": "secret-ish value"},
        {"base_url": "ftp://secret-ish"},
        {"base_url": "https://ada:secret-ish@auth.example.com"},
        {"redis_url": "redis://:secret-ish/word@localhost:6379/0"},
        {"redis_url": "redis://secret-ish@localhost:99999/0"},
        {"app_url": "https://app.example.com/secret-ish"},
        {"leeway": 61},
        {"leeway": -1},
        {"leeway": "secret-ish"},
        {"issuers": ["secret-ish"]},
        {"sdk_cookies": True},
        {"unknown": "secret-ish"},
        {"optional_invalid": "secret-ish"},
    ],
)
def test_a_wrong_setting_is_named_without_its_value(options: dict[str, object]):
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(options)
    assert next(iter(options)) in str(caught.value)
    assert "secret-ish" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_origins_are_ascii_as_browsers_send_them():
    """An international domain name in Unicode would never equal the Origin header of a browser."""
    for name, value in (
        ("app_url", "https://bücher.example"),
        ("trusted_origins", ["https://bücher.example"]),
        ("app_url", "https://a b.example"),
    ):
        with pytest.raises(ConfigurationError, match="xn--"):
            Settings.load({name: value})
    assert Settings.load({"app_url": "https://xn--bcher-kva.example"}).app_url == "https://xn--bcher-kva.example"


def test_issuers_cover_both_hosted_names_and_all_kinds():
    """Issuers cover both names of the hosted server and all kinds."""
    kinds = Settings(project_id=PROJECT).issuer_kinds
    assert kinds == {
        f"https://api.{host}/api/v1/{path}/{PROJECT}": kind
        for host in ("stack-auth.com", "hexclave.com")
        for path, kind in (
            ("projects", TokenKind.NORMAL),
            ("projects-restricted-users", TokenKind.RESTRICTED),
            ("projects-anonymous-users", TokenKind.ANONYMOUS),
        )
    }


@pytest.mark.parametrize("stage", [".dev", ".staging"])
def test_the_other_stages_have_twins_too(stage: str):
    kinds = Settings(project_id=PROJECT, base_url=f"https://api{stage}.hexclave.com").issuer_kinds
    assert f"https://api{stage}.stack-auth.com/api/v1/projects/{PROJECT}" in kinds


def test_an_internal_server_adds_its_public_issuer():
    """A self hosted server reached inside has its public issuer added."""
    settings = Settings(project_id=PROJECT, base_url="http://auth:8102/prefix", issuers=["https://auth.example.com"])
    normal = {issuer for issuer, kind in settings.issuer_kinds.items() if kind is TokenKind.NORMAL}
    assert normal == {
        f"http://auth:8102/api/v1/projects/{PROJECT}",
        f"https://auth.example.com/api/v1/projects/{PROJECT}",
    }


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/api/v1/", "https://api.example.com"),
        ("https://gw.example.com/stack/api/v1", "https://gw.example.com/stack"),
    ],
)
def test_the_servers_url_may_have_the_api_path(given: str, kept: str):
    """The servers address may be given with or without the api path."""
    assert Settings(base_url=given).base_url == kept


@rows(
    ("publishable", "secret", "access_type"),
    [(None, None, "client"), ("pck", None, "client"), ("pck", "ssk", "client"), (None, "ssk", "server")],
)
def test_server_access_for_users_only_without_other_keys(publishable: str | None, secret: str | None, access_type: str):
    """A persons requests are made as the server only where no other key is configured."""
    settings = Settings(publishable_client_key=publishable, secret_server_key=secret)
    assert settings.user_access_type == access_type


@rows(
    ("url", "origin"),
    [
        ("https://Example.com:443/path?x=1", "https://example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://user:secret@example.com", "https://example.com"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str):
    assert to_origin(url) == origin


def test_every_setting_is_a_typed_keyword_argument_of_the_plugin():
    assert set(Options.__annotations__) == set(Settings.model_fields)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Settings().leeway = 60  # type: ignore[misc]  # the very thing that must fail


def test_file_and_value_of_different_brands_are_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """A file of one brand and a value of the other are compared too."""
    (tmp_path / "secret").write_text("ssk_new\n")
    monkeypatch.setenv("HEXCLAVE_SECRET_SERVER_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("STACK_SECRET_SERVER_KEY", "ssk_old")
    assert at_start(caplog) == [
        "variables_conflict used=HEXCLAVE_SECRET_SERVER_KEY_FILE ignored=STACK_SECRET_SERVER_KEY"
    ]
    caplog.clear()
    monkeypatch.setenv("STACK_SECRET_SERVER_KEY", "ssk_new")
    assert at_start(caplog) == []


def test_an_empty_file_is_neither_used_nor_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "secret").write_text("\n")
    monkeypatch.setenv("HEXCLAVE_SECRET_SERVER_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("STACK_SECRET_SERVER_KEY", "ssk_old")
    assert at_start(caplog) == []
    assert variables_in_use()["secret_server_key"] == ("STACK_SECRET_SERVER_KEY",)


@pytest.mark.parametrize("name", ["STACK_PROJECT_ID", "HEXCLAVE_API_URL", "STACK_SECRET_SERVER_KEY", "STACK_ISSUERS"])
def test_a_variable_that_is_not_utf_8_is_named(monkeypatch: pytest.MonkeyPatch, name: str):
    """Python reads such bytes as lone surrogates, which no URL, header or JSON can hold."""
    monkeypatch.setenv(name, "planted\udcff")
    with pytest.raises(ConfigurationError, match=f"^{name} must be text in UTF-8") as caught:
        Settings()
    assert "planted" not in str(caught.value)
