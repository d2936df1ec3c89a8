"""`doctor` names the cause: on real servers, with what is wrong in the set-up, on the way, or at the server."""

import asyncio
import itertools
import json
import re
from email.utils import formatdate
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner, Result

from fastapi_stackauth.cli import probes
from fastapi_stackauth.cli.app import app
from fastapi_stackauth.cli.probes import measure_skew
from fastapi_stackauth.cli.report import Report
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.settings import Settings, environment_names
from tests.cli.servers import (
    always,
    as_it_is,
    make_untrusted,
    raw,
    run_behind,
    site,
    with_clock,
    with_slow,
    without_flags,
    without_keys,
)
from tests.support.forge import Signer, key_set
from tests.support.redis_server import RedisServer, free_port
from tests.support.rows import rows

OTHER = "11111111-1111-4111-8111-111111111111"
APP = {"STACK_APP_URL": "http://localhost:8000"}
NOTHING = {name: None for field in Settings.model_fields for name in environment_names(field)}


async def run(environment: dict[str, str], *words: str, text: str = "") -> Result:
    """Run `doctor` on a thread, so that the servers of this loop can answer it."""
    env = {**NOTHING, "STACK_LEEWAY": "60", **environment}
    return await asyncio.to_thread(CliRunner().invoke, app, ["doctor", *words], input=text, env=env)


async def find_codes(environment: dict[str, str], *words: str, text: str = "") -> dict[str, str]:
    """The codes that are not `ok`, with their severity."""
    result = await run(environment, "--json", *words, text=text)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    report = Report.model_validate_json(result.stdout)
    assert result.exit_code == {"ok": 0, "note": 0, "warning": 3, "error": 1}[report.status]
    for finding in report.findings:
        assert finding.message.endswith(".") or finding.code == "setting_invalid"
        assert finding.advice or finding.severity in ("ok", "note")
    assert_masked(result.output, environment)
    # uvicorn writes its Date header ahead, once a second, and later where its loop is kept from that
    told = [one for one in report.findings if one.severity != "ok" and one.code != "clock_near"]
    return {one.code: one.severity for one in told}


def assert_masked(output: str, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        if "KEY" in name or "SECRET" in name:
            assert value.partition("_")[2][:12] not in output or len(value) < 12


# --- ten set-ups -----------------------------------------------------------------------------------------


async def test_all_well():
    async with run_behind(with_clock(0)) as environment:
        assert await find_codes({**environment, **APP}) == {}
        result = await run({**environment, **APP})
    assert result.exit_code == 0
    assert all(line.startswith("ok ") for line in result.output.splitlines()[:-1])
    assert_masked(result.output, environment)


async def test_a_wrong_project_id(server: Emulator):
    codes = await find_codes({**server.environment(), **APP, "STACK_PROJECT_ID": OTHER})
    assert codes == {"project_unknown": "error"}


async def test_a_wrong_url():
    async with site(always(404)) as url:
        assert await find_codes({"STACK_PROJECT_ID": OTHER, "STACK_API_URL": url, **APP}) == {
            "server_not_stack_auth": "error"
        }


async def test_a_server_that_is_down():
    environment = {"STACK_PROJECT_ID": OTHER, "STACK_API_URL": f"http://127.0.0.1:{free_port()}", **APP}
    assert await find_codes(environment) == {"server_connection_refused": "error"}


async def test_keys_of_another_project(server: Emulator):
    other = Emulator("http://localhost:1")
    environment = server.environment()
    for name in ("STACK_PUBLISHABLE_CLIENT_KEY", "STACK_SECRET_SERVER_KEY"):
        environment[name] = other.environment()[name]
    other.close()
    codes = await find_codes({**environment, **APP})
    assert {"publishable_key_rejected", "secret_key_rejected"} <= set(codes)
    assert set(codes.values()) == {"error"}


@pytest.mark.parametrize(
    ("seconds", "codes"), [(600, {"clock_wrong": "error"}), (-600, {"clock_wrong": "error"}), (0, {})]
)
async def test_a_clock_that_is_off(seconds: float, codes: dict[str, str]):
    async with run_behind(with_clock(seconds)) as environment:
        assert await find_codes({**environment, **APP}) == codes
        result = await run({**environment, **APP})
    if seconds:
        told = re.search(r"clock is (\d+) s (behind|ahead of)", result.output)
        assert told
        assert 500 < int(told[1]) <= 600
        assert told[2] == ("behind" if seconds > 0 else "ahead of")


@rows(
    ("date", "age", "skew"),
    [
        (1000, "0", 0.0),  # it is written with its fraction cut off
        (1002, "0", 0.0),  # and at any moment between question and answer
        (1010, "0", 8.0),
        (990, "0", -9.5),
        (940, "60", 0.0),  # a cache kept the answer for a minute
        (None, "0", None),
        (1000, "x", None),
    ],
)
def test_clock_skew_excludes_the_network_delay(date: int | None, age: str, skew: float | None):
    """The difference of clocks is what cannot be due to the way."""
    headers = {"age": age} | ({"date": formatdate(date, usegmt=True)} if date else {"date": "noon"})
    assert measure_skew(ApiResponse(200, headers, b""), 1000.5, 1002.0) == skew


@rows(
    ("settings", "codes"),
    [
        ({"STACK_APP_URL": "http://app.example.com"}, {"cookies_impossible": "error"}),
        ({**APP, "STACK_COOKIE_DOMAIN": "example.com"}, {"cookie_domain_foreign": "error"}),
        ({**APP, "STACK_INSECURE_COOKIES": "true"}, {"cookies_insecure": "note"}),
        ({"STACK_APP_URL": "http://127.0.0.1:8000"}, {"app_url_is_address": "note"}),
        ({**APP, "STACK_TRUSTED_ORIGINS": "https://front.example.org"}, {"trusted_origin_other_site": "warning"}),
        ({**APP, "STACK_TRUSTED_ORIGINS": "http://localhost:5173"}, {}),
        ({"STACK_APP_URL": "https://a.example.com", "STACK_COOKIE_DOMAIN": "example.com"}, {}),
        ({"STACK_APP_URL": "https://a.example.com", "STACK_COOKIE_DOMAIN": "com"}, {"cookie_domain_foreign": "error"}),
        ({"STACK_APP_URL": "https://a.example.com", "STACK_INSECURE_COOKIES": "1"}, {"setting_invalid": "error"}),
        ({}, {"app_url_missing": "note"}),
    ],
)
async def test_cookie_settings_against_the_url(server: Emulator, settings: dict[str, str], codes: dict[str, str]):
    server.configure(domains=[{"domain": "https://*.example.com", "handler_path": "/handler"}])
    assert await find_codes({**server.environment(), **settings}) == codes | (
        {"app_url_not_trusted": "warning"} if settings.get("STACK_APP_URL") == "http://app.example.com" else {}
    )


async def test_a_missing_secret_key(server: Emulator):
    environment = {**server.environment(), **APP}
    del environment["STACK_SECRET_SERVER_KEY"]
    assert await find_codes(environment) == {"secret_key_missing": "warning"}
    server.configure(allow_user_api_keys=False, allow_team_api_keys=False)
    assert await find_codes(environment) == {"secret_key_missing": "note"}


@pytest.mark.parametrize(
    ("flags", "codes"),
    [
        (("include_anonymous", "include_restricted"), {"server_without_anonymous": "warning"}),
        (("include_restricted",), {"server_without_restricted": "note"}),
    ],
)
async def test_an_old_server_without_query_flags(flags: tuple[str, ...], codes: dict[str, str]):
    async with run_behind(without_flags(*flags)) as environment:
        assert await find_codes({**environment, **APP}) == codes


async def test_an_issuer_mismatch():
    async with run_behind(as_it_is, public_url="https://auth.example.com") as environment:
        assert await find_codes({**environment, **APP}) == {"issuer_mismatch": "error"}
        result = await run({**environment, **APP})
        assert "https://auth.example.com" in result.output
        assert await find_codes({**environment, **APP, "STACK_ISSUERS": "https://auth.example.com"}) == {}


async def test_a_token_reveals_an_unknown_issuer(server: Emulator):
    """An issuer that the server does not show is seen in a token."""
    server.configure(oauth_providers=[])
    environment = {**server.environment(), **APP}
    assert await find_codes(environment) == {"issuer_unknown": "note"}
    token = server.issue_token()["access_token"]
    assert await find_codes(environment, "--token", text=token) == {"issuer_unknown": "note"}
    forged = server.issue_token(claims={"iss": "https://auth.example.com/api/v1/projects/x"})["access_token"]
    codes = await find_codes(environment, "--token", text=f"Bearer {forged}")
    assert codes == {"issuer_unknown": "note", "token_issuer_not_allowed": "error"}


async def test_a_key_set_that_a_proxy_keeps_back():
    async with run_behind(without_keys) as environment:
        assert await find_codes({**environment, **APP}) == {"keys_unreadable": "error"}


# --- the way to the server -------------------------------------------------------------------------------


async def away(url: str, timeout: str = "30") -> dict[str, str]:
    return await find_codes({"STACK_PROJECT_ID": OTHER, "STACK_API_URL": url, "STACK_TIMEOUT": timeout, **APP})


async def test_a_name_that_does_not_resolve():
    assert await away("https://nobody.invalid") == {"server_name_unresolved": "error"}
    assert await away(f"https://{'a' * 70}.invalid") == {"server_name_unresolved": "error"}


async def test_a_server_that_keeps_silent():
    async with raw(None) as port:
        assert await away(f"http://127.0.0.1:{port}", timeout="0.2") == {"server_timeout": "error"}


async def test_keys_that_do_not_arrive_in_time_are_slow_and_not_wrong():
    over = asyncio.Event()
    async with run_behind(with_slow("jwks.json", over.wait)) as environment:
        waiting = {"STACK_TIMEOUT": "2", "STACK_JWKS_TIMEOUT": "0.1"}
        codes = await find_codes(environment | APP | waiting)
        over.set()
    assert codes == {"keys_slow": "error"}


async def test_keys_that_arrive_later_than_the_app_waits_are_slow():
    """The app would have no keys, though `doctor` has waited long enough to get them."""
    front = with_slow("jwks.json", lambda: asyncio.sleep(0.3))
    async with run_behind(front) as environment:
        result = await run(environment | APP, "--json", text="")
        assert "keys_slow" not in result.stdout
        waiting = {"STACK_TIMEOUT": "30", "STACK_JWKS_TIMEOUT": "0.1"}
        assert await find_codes(environment | APP | waiting) == {"keys_slow": "error"}
        assert "keys_fetched" in (await run(environment | APP | waiting, "--json")).stdout


async def test_a_slow_secret_key_check_is_unchecked_not_wrong():
    """A secret key that the server does not look at in time is unchecked and not wrong."""
    over, asked = asyncio.Event(), itertools.count()

    async def second() -> None:
        if next(asked) == 1:  # the first one asks as a front end
            await over.wait()

    async with run_behind(with_slow("/projects/current", second)) as environment:
        codes = await find_codes(environment | APP | {"STACK_TIMEOUT": "1.5"})
        over.set()
    assert codes["secret_key_unchecked"] == "warning"


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("ssk_planted"),
        asyncio.CancelledError("ssk_planted"),
        ExceptionGroup("ssk_planted", [ValueError("ssk_planted")]),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_whatever_fails_json_is_json(server: Emulator, monkeypatch: pytest.MonkeyPatch, failure: BaseException):
    async def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(probes, "gather", fail)
    result = await run(server.environment(), "--json")
    report = Report.model_validate_json(result.stdout)
    assert [finding.code for finding in report.findings] == ["doctor_failed"]
    assert type(failure).__name__ in report.findings[0].message
    assert (result.exit_code, "planted" in result.output) == (1, False)


async def test_what_fails_on_the_way_is_a_fact(server: Emulator, monkeypatch: pytest.MonkeyPatch):
    """Under load a connection may break with errors of the layers below httpx, which have other types."""

    class Broken:
        async def __aenter__(self) -> None:
            raise anyio.BrokenResourceError

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr(httpx.AsyncClient, "stream", lambda *_, **__: Broken())
    assert await find_codes(server.environment() | APP) == {"server_connection_broken": "error"}


@pytest.mark.parametrize(
    ("words", "text"),
    [(("--env-file", "no-such-file"), ""), (("--token",), ""), (("--token",), "x" * 1_000_001)],
    ids=["file", "no token", "too long"],
)
async def test_a_command_called_wrongly_is_json_too(server: Emulator, words: tuple[str, ...], text: str):
    result = await run(server.environment(), "--json", *words, text=text)
    assert [finding.code for finding in Report.model_validate_json(result.stdout).findings] == ["usage"]
    assert result.exit_code == 2


async def test_a_secret_file_that_cannot_be_read_is_a_finding(server: Emulator):
    environment = server.environment() | {"STACK_REDIS_URL_FILE": "no-such-file"}
    assert await find_codes(environment) == {"setting_invalid": "error"}


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_server_that_breaks_off_or_speaks_no_http(reply: bytes):
    async with raw(reply) as port:
        assert await away(f"http://127.0.0.1:{port}") == {"server_connection_broken": "error"}


async def test_a_certificate_that_is_not_trusted(tmp_path: Path):
    async with raw(b"", make_untrusted(tmp_path)) as port:
        assert await away(f"https://127.0.0.1:{port}") == {"server_tls": "error"}


@rows(
    ("variables", "codes"),
    [
        ({"HTTPS_PROXY": "junk://ada:secret-ish@proxy"}, {"proxy_unusable": "error"}),
        ({"SSL_CERT_FILE": "/nonexistent"}, {"certificates_unreadable": "error"}),
        (
            {"HTTPS_PROXY": "http://ada:secret-ish@127.0.0.1:1"},
            {"server_connection_refused": "error", "server_by_proxy": "note"},
        ),
        (
            {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "auth.invalid"},
            {"server_name_unresolved": "error"},
        ),
    ],
)
async def test_proxies_and_certificates_that_the_environment_names(variables: dict[str, str], codes: dict[str, str]):
    environment = {"STACK_PROJECT_ID": OTHER, "STACK_API_URL": "https://auth.invalid", **APP, **variables}
    assert await find_codes(environment) == codes
    assert "secret-ish" not in (await run(environment)).output


async def test_https_to_a_server_of_http(server: Emulator):
    assert await away(server.url.replace("http:", "https:")) == {"server_speaks_http": "error"}


@rows(
    ("status", "codes"),
    [
        (503, {"server_fails": "error"}),
        (429, {"server_limits": "warning"}),
        (308, {"server_redirects": "error"}),
        (200, {"server_not_stack_auth": "error"}),
        (401, {"server_not_stack_auth": "error"}),
    ],
)
async def test_a_server_that_answers_something_else(status: int, codes: dict[str, str]):
    async with site(always(status, (b"location", b"https://elsewhere.example.com/"))) as url:
        assert await away(url) == codes


async def test_a_redirect_to_nowhere():
    async with site(always(308, (b"location", b"https://elsewhere.example.com/\x1b[31m"))) as url:
        assert await away(url) == {"server_connection_broken": "error"}


async def test_the_dashboards_address_is_told_from_the_apis():
    assert (await away("https://app.stack-auth.com"))["address_is_dashboard"] == "error"


async def test_plain_http_beyond_this_network_is_a_warning():
    assert (await away("http://nobody.example.invalid"))["address_not_encrypted"] == "warning"


# --- settings and keys -----------------------------------------------------------------------------------


async def test_an_empty_environment(server: Emulator):
    codes = await find_codes({"STACK_API_URL": server.url})
    assert codes == {"project_id_missing": "error", "app_url_missing": "note"}


@rows(
    ("changes", "codes"),
    [
        ({"HEXCLAVE_PROJECT_ID": OTHER}, {"variables_conflict": "warning", "project_unknown": "error"}),
        ({"STACK_BASE_URL": "x"}, {"variable_unknown": "warning"}),
        ({"STACK_PROJEKT_ID": "x"}, {"variable_unknown": "warning"}),
        ({"STACK_OF_PANCAKES": "x"}, {}),
        ({"STACK_SECRET_SERVER_KEY": "pck_" + "x" * 45}, {"setting_invalid": "error"}),
        ({"STACK_SECRET_SERVER_KEY": "ssk_a b"}, {"key_unsendable": "error"}),
        ({"STACK_PUBLISHABLE_CLIENT_KEY": "pck_ä"}, {"key_unsendable": "error"}),
        ({"STACK_PROJECT_ID": "a b"}, {"project_id_form": "error"}),
        ({"STACK_PROJECT_ID": "my-project"}, {"project_id_form": "warning", "project_unknown": "error"}),
        ({"STACK_BRANCH_ID": "dev"}, {"branch_unknown": "error"}),
        ({"STACK_WEBHOOK_SECRETS": "whsec_!"}, {"setting_invalid": "error"}),
        ({"STACK_REDIS_URL": "http://x"}, {"setting_invalid": "error"}),
    ],
)
async def test_what_the_environment_gets_wrong(server: Emulator, changes: dict[str, str], codes: dict[str, str]):
    answer = await find_codes({**server.environment(), **APP, **changes})
    assert codes.items() <= answer.items()
    assert codes or not answer


async def test_the_names_of_hexclave_are_read(server: Emulator):
    renamed = {name.replace("STACK_", "HEXCLAVE_"): value for name, value in {**server.environment(), **APP}.items()}
    assert await find_codes(renamed) == {}


async def test_a_publishable_key_that_the_project_demands(server: Emulator):
    server.configure(require_publishable_client_key=True)
    environment = {**server.environment(), **APP}
    assert await find_codes(environment) == {}
    del environment["STACK_PUBLISHABLE_CLIENT_KEY"]
    assert (await find_codes(environment))["publishable_key_missing"] == "warning"
    del environment["STACK_SECRET_SERVER_KEY"]
    assert (await find_codes(environment))["publishable_key_missing"] == "error"


@pytest.mark.parametrize(
    ("config", "codes"),
    [
        ({"sign_up_enabled": False}, {"sign_up_off": "warning"}),
        (
            {"credential_enabled": False, "magic_link_enabled": False, "passkey_enabled": False, "oauth_providers": []},
            {"no_sign_in_method": "error"},
        ),
        (
            {"credential_enabled": False, "magic_link_enabled": False, "oauth_providers": []},
            {"passkey_alone": "warning"},
        ),
    ],
)
async def test_project_settings_that_block_sign_in(server: Emulator, config: dict[str, Any], codes: dict[str, str]):
    server.configure(**config)
    assert codes.items() <= (await find_codes({**server.environment(), **APP})).items()


@rows(
    ("domain", "trusted"),
    [
        ("https://app.example.com", True),
        ("https://app.example.com/handler", True),
        ("https://*.example.com", True),
        ("https://**.com", True),
        ("https://*.com", False),
        ("http://app.example.com", False),
        ("https://app.example.com:8443", False),
        ("https://appxexample.com", False),
    ],
)
async def test_an_app_url_that_the_project_does_not_trust(server: Emulator, domain: str, trusted: bool):
    server.configure(domains=[{"domain": domain, "handler_path": "/handler"}])
    codes = await find_codes({**server.environment(), "STACK_APP_URL": "https://app.example.com"})
    assert codes == ({} if trusted else {"app_url_not_trusted": "warning"})


async def test_fixed_keys_against_the_servers(server: Emulator, tmp_path: Path, signer: Signer):
    file = tmp_path / "jwks.json"
    environment = {**server.environment(), **APP, "STACK_JWKS": str(file)}
    assert await find_codes(environment) == {"fixed_keys_unreadable": "error"}
    away = {**environment, "STACK_API_URL": f"http://127.0.0.1:{free_port()}"}
    assert await find_codes(away) == {"fixed_keys_unreadable": "error", "server_connection_refused": "error"}
    file.write_text(json.dumps(key_set(signer)), "utf-8")
    assert await find_codes(environment) == {"fixed_keys_differ": "error"}


# --- Redis -----------------------------------------------------------------------------------------------


async def test_redis_in_reach_and_with_a_wrong_password(server: Emulator, redis_server: RedisServer):
    environment = {**server.environment(), **APP}
    assert await find_codes({**environment, "STACK_REDIS_URL": redis_server.url}) == {}
    async with Redis.from_url(redis_server.url) as redis:
        await redis.config_set("requirepass", "another")
    wrong = redis_server.url.replace("redis://", "redis://:hunter2secret@")
    result = await run({**environment, "STACK_REDIS_URL": wrong})
    assert "rejects the login" in result.output
    assert "hunter2secret" not in result.output


@pytest.mark.parametrize(
    ("url", "said"), [("redis://127.0.0.1:1", "nothing listens at"), ("redis://nobody.invalid", "does not resolve")]
)
async def test_redis_out_of_reach(server: Emulator, url: str, said: str):
    environment = {**server.environment(), **APP, "STACK_REDIS_URL": url}
    assert await find_codes(environment) == {"redis_unusable": "error"}
    assert said in (await run(environment)).output
