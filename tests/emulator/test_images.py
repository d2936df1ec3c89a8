"""Profile images: what is stored, what is served, and what is rejected."""

import base64
from typing import Any

import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.store import images as images_table

from .api import Api, assert_rejected

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def data_url(content: bytes = PIXEL, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


async def set_image(api: Api, url: Any, **how: Any) -> Any:
    return await api.patch("/users/me", {"profile_image_url": url}, **how)


@pytest.mark.parametrize("kind", ["image/png", "image/svg"])
async def test_an_image_is_stored_and_served_as_what_it_is(api: Api, kind: str) -> None:
    how = {"token": (await api.sign_up())["access_token"]}
    url = (await set_image(api, data_url(kind=kind), **how)).json()["profile_image_url"]
    assert url.startswith(f"{api.emulator.url}/emulator/images/user-profile-images/")
    served = await api.http.get(url)
    assert (served.status_code, served.content, served.headers["content-type"]) == (200, PIXEL, "image/png")
    assert served.headers["x-content-type-options"] == "nosniff"
    assert (await set_image(api, None, **how)).json()["profile_image_url"] is None


async def test_other_machines_may_see_an_image(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    url = (await set_image(api, data_url(), token=token)).json()["profile_image_url"]
    assert (await api.http.get(url, headers={"x-forwarded-for": "203.0.113.7"})).status_code == 200
    assert (await api.http.get(f"{url}x")).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.png", "data:text/html;base64,aGk=", "data:image/png;base64,", "data:image/png,aGk=",
        "data:image/png;base64,!!!!", "data:image/png;base64,iVBORw0KGgo", "javascript:alert(1)",
        data_url(b"no image"), data_url(SVG), data_url(SVG, "image/svg+xml"), data_url(kind="text/plain"),
    ],
    ids=range(11),
)  # fmt: skip
async def test_what_is_no_image_is_rejected(api: Api, url: str) -> None:
    token = (await api.sign_up())["access_token"]
    team = (await api.post("/teams", {"display_name": "Red"}, token=token)).json()["id"]
    answers = [
        await set_image(api, url, token=token),
        await set_image(api, url, token=token, access="server"),
        await api.post("/users", {"profile_image_url": url}, access="server"),
        await api.patch(f"/teams/{team}", {"profile_image_url": url}, token=token),
        await api.patch(f"/team-member-profiles/{team}/me", {"profile_image_url": url}, token=token),
    ]
    assert [(answer.status_code, answer.headers["content-type"][:10]) for answer in answers] == [
        (400, "text/plain")
    ] * 5
    with pytest.raises(ValueError, match="profile_image_url"):
        api.emulator.add_user(profile_image_url=url)


async def test_the_web_address_of_an_image_is_the_servers_to_set(api: Api) -> None:
    token, url = (await api.sign_up())["access_token"], "https://example.com/a.png"
    assert (await set_image(api, url, token=token)).text == "Invalid profile image URL"
    assert (await set_image(api, url, token=token, access="server")).json()["profile_image_url"] == url


async def test_teams_and_members_have_images(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    team = (await api.post("/teams", {"display_name": "Red", "profile_image_url": data_url()}, token=token)).json()
    body = {"profile_image_url": data_url()}
    member = (await api.patch(f"/team-member-profiles/{team['id']}/me", body, token=token)).json()
    for shown, folder in ((team, "team-profile-images"), (member, "team-member-profile-images")):
        assert f"/{folder}/" in shown["profile_image_url"]
        assert (await api.http.get(shown["profile_image_url"])).content == PIXEL


def test_the_oldest_image_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_table, "KEPT", 2)
    emulator = Emulator()
    names = [emulator.store.images.add(emulator.project_id, f"{number}.png", PIXEL) for number in range(4)]
    assert [emulator.store.images.get(name) is not None for name in names] == [False, False, True, True]
    emulator.reset()
    assert emulator.store.images.get(names[3]) is None
    emulator.close()


async def test_an_image_has_a_million_characters_at_most(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    largest = data_url(PIXEL + b"x" * (749_982 - len(PIXEL)))
    assert len(largest) <= 1_000_000
    assert (await set_image(api, largest, token=token)).status_code == 200
    assert_rejected(await set_image(api, largest + "AAAA" * 100, token=token), 400, "SCHEMA_ERROR")
