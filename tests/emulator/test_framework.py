"""What the real server's web framework answers before any endpoint: methods, slashes, and what is not emulated."""

import httpx
import pytest

from fastapi_stackauth.emulator.missing import METHODS, MISSING_PARTS

from .api import Api

ENDPOINT_HEADERS = ("allow", "cache-control", "content-type", "x-stack-request-id")


def endpoint_headers(answer: httpx.Response) -> list[str]:
    """Return which headers of an endpoint a response has."""
    return [name for name in ENDPOINT_HEADERS if name in answer.headers]


async def test_head_is_get_without_a_body(api: Api) -> None:
    answer = await api.call("HEAD", "/projects/current")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await api.call("HEAD", "/auth/password/sign-in")).status_code == 405


async def test_a_head_request_has_no_body(api: Api) -> None:
    headers = {**api.headers("client"), "content-type": "application/json"}
    assert (await api.http.head("/api/v1/projects/current", headers=headers)).status_code == 200


async def test_in_april_head_was_no_method(april: Api) -> None:
    answer = await april.call("HEAD", "/projects/current")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "text/plain; charset=utf-8")


@pytest.mark.parametrize("method", ["PROPFIND", "TRACE", "X"])
async def test_a_method_of_no_path_is_400(api: Api, method: str) -> None:
    answer = await api.call(method, "/projects/current")
    assert (answer.status_code, answer.content, endpoint_headers(answer)) == (400, b"", [])


async def test_a_method_that_the_path_lacks_is_an_empty_405(api: Api) -> None:
    answer = await api.delete("/projects/current", override_error_status="true")
    assert (answer.status_code, answer.content, endpoint_headers(answer)) == (405, b"", [])


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/projects/current/", "/api/v1/projects/current"),
        ("/api/v1/", "/api/v1"),
        ("/api/latest/users/me//", "/api/latest/users/me"),
        ("/api/v1/nothing/?a=b&c=%20d", "/api/v1/nothing?a=b&c=%20d"),
        ("/api/v1/a%20b%0d%0aX:y/", "/api/v1/a%20b%0D%0AX%3Ay"),
    ],
)
async def test_a_trailing_slash_is_taken_away_by_308(api: Api, path: str, target: str) -> None:
    answer = await api.http.post(path, headers=api.headers("client"))
    assert (answer.status_code, answer.headers["location"], answer.text) == (308, target, target)
    assert endpoint_headers(answer) == []


@pytest.mark.parametrize("path", ["/emails", "/internal", "/payments", "/webhooks", "/nothing"])
async def test_an_unknown_path_leads_nowhere(api: Api, path: str) -> None:
    """Above all not to itself with a slash, which is taken away again."""
    answer = await api.get(path)
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize("access", [None, "client", "server"])
async def test_the_root_answers(api: Api, access: str | None) -> None:
    answer = await api.get("", access=access)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert (access or "none") in answer.text
    assert (await api.get("?a=b", access=access)).json()["code"] == "SCHEMA_ERROR"


@pytest.mark.parametrize("path", [path.replace("{rest:path}", "a/b") for path in MISSING_PARTS])
async def test_what_is_not_emulated_says_so(api: Api, path: str) -> None:
    for method in METHODS:
        answer = await api.call(method, path)
        assert answer.status_code == 501, method
        assert "not emulated" in answer.text


async def test_in_april_hexclave_headers_mean_nothing(april: Api) -> None:
    headers = {name.replace("x-stack-", "x-hexclave-"): value for name, value in april.headers("client").items()}
    answer = await april.http.get("/api/v1/projects/current", headers=headers)
    assert answer.json()["code"] == "ACCESS_TYPE_REQUIRED"
    preflight = await april.http.options("/api/v1/users/me")
    assert "hexclave" not in str(answer.headers) + str(preflight.headers)
