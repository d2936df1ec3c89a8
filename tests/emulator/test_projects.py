"""What `projects/current` shows in each profile."""

from .api import Api

CONFIG = {"allow_localhost", "allow_promo_codes", "allow_stacking_promo_codes"}
TOP = {"is_development_environment", "pushed_config_error", "config_warnings"}


async def test_the_newest_project_has_six_fields_more(api: Api, april: Api) -> None:
    newest = (await api.get("/projects/current")).json()
    older = (await april.get("/projects/current")).json()
    assert set(newest) - set(older) == TOP
    assert set(newest["config"]) - set(older["config"]) == CONFIG
    assert {name: newest[name] for name in TOP} == {
        "is_development_environment": False, "pushed_config_error": None, "config_warnings": [],
    }  # fmt: skip
    assert [newest["config"][name] for name in sorted(CONFIG)] == [True, False, False]
    api.emulator.configure(allow_localhost=False)
    assert (await api.get("/projects/current")).json()["config"]["allow_localhost"] is False
