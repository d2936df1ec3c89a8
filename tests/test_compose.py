"""docker-compose.yml, Dockerfile and `make env` belong together, and keep what docs/deploy.md promises.

No engine runs here: these are checks of the files. `tests/test_deploy.py` starts what they describe.
"""

import json
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from example_app import env, samples
from fastapi_stackauth.settings import Settings, environment_names
from tests.support.compose import ROOT, TEXT, VARIABLE, aliases, document, filled, services

PROFILES = ("demo", "scale", "real")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
EVERY: dict[str, dict[str, Any]] = document()["services"]
SECRET = re.compile(r"PASSWORD|SECRET|_KEY$")
LISTENS_AS_USER_OF_ITS_IMAGE = {
    "proxy": "nginx-unprivileged runs as user 101",
    "auth": "its image ends with USER node",
}


def by_service(test: Any) -> Any:
    return pytest.mark.parametrize("name", EVERY)(test)


def instructions(stage: int | None = None) -> list[tuple[str, str]]:
    """The Dockerfile's instructions, of one stage or all."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    pairs = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]
    starts = [number for number, (word, _) in enumerate(pairs) if word == "FROM"] + [len(pairs)]
    return pairs if stage is None else pairs[starts[stage] : starts[stage + 1]]


# --- the compose file ---


def test_it_follows_the_compose_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    run = subprocess.run([*command, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_service_belongs_to_a_profile_and_no_profile_is_unknown():
    assert all(service.get("profiles") for service in EVERY.values()), "one without would start with every profile"
    assert {profile for service in EVERY.values() for profile in service["profiles"]} == set(PROFILES)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("demo", {"emulator", "app"}),
        ("scale", {"emulator", "app-1", "app-2", "app-3", "proxy", "redis", "notes-db"}),
        ("real", {"auth", "auth-db", "clickhouse", "mail", "app-real"}),
    ],
)
def test_a_profile_starts_these_services(profile: str, expected: set[str]):
    assert set(services(profile)) == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_in_a_profile_no_two_services_want_one_port_and_the_app_is_published_once(profile: str):
    published = [port.rsplit(":", 1)[0] for service in services(profile).values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))
    assert sum("APP_PORT" in port for port in published) == 1


@by_service
def test_ports_are_published_on_loopback_alone(name: str):
    assert all(port.startswith("127.0.0.1:${") for port in EVERY[name].get("ports", []))


@by_service
def test_what_a_service_waits_for_is_in_its_profiles_and_has_a_health_check(name: str):
    for other, how in EVERY[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert EVERY[other]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert set(EVERY[name]["profiles"]) <= set(EVERY[other]["profiles"])


@by_service
def test_every_service_has_a_health_check_and_none_needs_curl(name: str):
    test = EVERY[name]["healthcheck"]["test"]
    assert not any("curl" in word for word in test)


@by_service
def test_images_are_pinned_to_a_version(name: str):
    image, _, tag = EVERY[name]["image"].rpartition(":")
    assert image, "no tag"
    if "build" in EVERY[name]:
        return  # the tag is ours
    assert re.search(r"\d+\.\d+\.\d+|^\d+\.\d+-|^[0-9a-f]{7}$", tag), "a release, or a commit"


@by_service
def test_no_service_runs_as_root_or_can_become_it(name: str):
    service = EVERY[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    if "build" not in service and name not in LISTENS_AS_USER_OF_ITS_IMAGE:
        assert str(service["user"]).split(":")[0] not in ("0", "root")


def test_only_services_that_write_into_their_image_have_a_writable_one():
    assert {name for name, service in EVERY.items() if not service.get("read_only")} == {"auth", "clickhouse"}


@by_service
def test_every_path_and_every_volume_exists(name: str):
    service = EVERY[name]
    if "build" in service:
        assert service["build"] == "."
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).is_file() if source.startswith("./") else source in document()["volumes"]
    assert set(service.get("networks", [])) <= set(document()["networks"])


def test_no_volume_and_no_network_is_left_over():
    used = {volume.split(":")[0] for service in EVERY.values() for volume in service.get("volumes", [])}
    assert used >= set(document()["volumes"])
    assert {network for service in EVERY.values() for network in service.get("networks", ["default"])} == set(
        document()["networks"]
    )


@by_service
def test_secrets_come_from_variables(name: str):
    for variable, value in EVERY[name].get("environment", {}).items():
        if SECRET.search(variable) and variable != "STACK_EMAILABLE_API_KEY":  # this one switches a check off
            assert VARIABLE.fullmatch(value), variable
    assert not re.search(r"://[^$/\s]+:[^$\s]+@", TEXT), "an address with a password in it"


@by_service
def test_settings_of_our_library_are_spelt_as_it_spells_them(name: str):
    known = {spelling for field in Settings.model_fields for spelling in environment_names(field)}
    if "build" in EVERY[name]:
        given = {variable for variable in EVERY[name]["environment"] if variable.startswith("STACK_")}
        assert given <= known


@pytest.mark.parametrize("name", ["app", "app-1", "app-2", "app-3", "app-real"])
def test_apps_reach_the_server_inside_and_accept_the_public_issuer(name: str):
    variables = dict(env.variables())
    environment = document(variables)["services"][name]["environment"]
    profile = EVERY[name]["profiles"][0]
    server = re.fullmatch(r"http://([a-z]+):8102", environment["STACK_API_URL"])
    assert server
    assert server[1] in services(profile)
    assert environment["STACK_ISSUERS"] == variables["AUTH_URL"]


@pytest.mark.parametrize("profile", ["demo", "scale"])
def test_the_emulators_webhooks_reach_an_app_that_shares_their_secret(profile: str):
    started = services(profile, dict(env.variables()))
    command = started["emulator"]["command"]
    host = re.fullmatch(r"http://([a-z]+):8000/webhooks/stack-auth", command[command.index("--webhook-url") + 1])
    assert host
    told = [service for name, service in started.items() if host[1] in (name, *aliases(service))]
    assert len(told) == {"demo": 1, "scale": 3}[profile], "by its name, or by the one that all workers share"
    secrets = {service["environment"]["STACK_WEBHOOK_SECRETS"] for service in told}
    assert secrets == {started["emulator"]["environment"]["EMULATOR_WEBHOOK_SECRET"]}


def test_workers_differ_in_nothing_but_what_they_wait_for():
    one, two, three = ({**EVERY[name], "depends_on": None} for name in ("app-1", "app-2", "app-3"))
    assert one == two == three


def test_only_the_proxy_shares_the_network_that_workers_believe():
    inside = {name for name, service in EVERY.items() if "edge" in service.get("networks", [])}
    assert inside == {"proxy", "app-1", "app-2", "app-3"}
    assert EVERY["proxy"]["networks"] == ["edge"]


def test_the_proxy_knows_each_worker_and_no_other():
    configuration = (ROOT / "docs/nginx.conf").read_text("utf-8")
    assert re.findall(r"server (\S+) resolve;", configuration) == ["app-1:8000", "app-2:8000", "app-3:8000"]


def test_the_emulators_seed_is_that_of_make_demo():
    written = json.loads((ROOT / "example_app/seed.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(samples.SEED)), "write it anew: json.dumps(SEED, indent=2)"
    assert "/app/example_app/seed.json" in EVERY["emulator"]["command"]


# --- the variables ---


def test_make_env_gives_every_variable_that_is_used_and_no_other():
    used = {found["name"] for found in VARIABLE.finditer(TEXT)}
    assert used | {"COMPOSE_PROFILES"} == {name for name, _ in env.variables()}
    assert "$" not in filled(TEXT, dict(env.variables()))


def test_a_missing_variable_stops_compose_with_a_hint():
    variables = dict(env.variables())
    del variables["REDIS_PASSWORD"]
    with pytest.raises(KeyError, match="REDIS_PASSWORD"):
        filled(TEXT, variables)
    reasons = {found["default"] for found in VARIABLE.finditer(TEXT)}
    assert reasons == {"-", ":?write .env first - make env"}


def test_every_variable_is_documented_with_its_default():
    section = deploy_page().split("## The variables")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (`[^`]+`|random|empty) \| .+ \|$", section, re.MULTILINE))
    one, other = dict(env.variables()), dict(env.variables())
    fixed = {name: f"`{value}`" if value else "empty" for name, value in one.items()}
    assert documented == {name: value if one[name] == other[name] else "random" for name, value in fixed.items()}


def deploy_page() -> str:
    return (ROOT / "docs/deploy.md").read_text("utf-8")


def test_every_service_and_profile_stands_in_the_docs():
    page = deploy_page()
    assert [name for name in [*EVERY, *PROFILES] if f"`{name}`" not in page] == []


def test_make_env_writes_a_private_file_once_with_secrets_of_its_own(tmp_path: Path):
    target = tmp_path / ".env"
    env.write(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    first = target.read_text("utf-8")
    with pytest.raises(FileExistsError):
        env.write(target)
    assert target.read_text("utf-8") == first
    read = dict(line.split("=", 1) for line in first.splitlines() if not line.startswith("#"))
    again = dict(env.variables())
    assert read.keys() == again.keys()
    drawn = {name for name, value in read.items() if SECRET.search(name) and value}
    assert all(len(read[name]) >= 43 for name in drawn)
    assert {name for name, value in read.items() if value != again[name]} == drawn
    assert "PROJECT_SECRET_SERVER_KEY" in drawn
    assert all(shlex.split(value) == [value] for value in read.values() if value), "nothing that needs quoting"


def test_make_env_refuses_in_one_line_to_overwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(env, "TARGET", tmp_path / ".env")
    env.main()
    with pytest.raises(SystemExit, match=r"is there already.*"):
        env.main()


def test_make_env_needs_no_package():
    """It runs before anything is installed, on the system's Python."""
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({str(ROOT / 'example_app/env.py')!r})"],
        check=False,
    )
    assert run.returncode == 0


def test_git_and_the_image_leave_the_env_file_out():
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1] == "*"


# --- the image ---


def test_both_stages_start_from_one_pinned_image():
    images = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", images[0])


def test_what_the_image_copies_exists_and_is_let_through():
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[0] == "!"}
    copied = set()
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            copied |= {Path(source).name for source in rest.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    assert copied == let_through


def test_the_image_is_not_run_as_root_and_installs_nothing_in_its_last_stage():
    last = instructions(1)
    (user,) = [rest for word, rest in last if word == "USER"]
    assert int(user) > 0
    words = [word for word, _ in last]
    assert words.index("USER") > max(number for number, word in enumerate(words) if word in ("RUN", "COPY"))
    assert not re.search(r"\b(pip|apt-get|gcc)\b", " ".join(rest for word, rest in last if word == "RUN"))


def test_the_image_starts_and_checks_what_the_compose_file_does():
    last = dict(instructions(1))
    assert re.findall(r'"([^"]*)"', last["CMD"]) == EVERY["app"]["command"]
    assert re.findall(r'"([^"]*)"', last["HEALTHCHECK"]) == EVERY["app"]["healthcheck"]["test"][1:]


def test_the_files_that_a_build_needs_are_copied():
    copied = {Path(name).name for word, rest in instructions(0) if word == "COPY" for name in rest.split()}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project, wheel = settings["project"], settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert copied >= {project["readme"], *project["license-files"], *wheel["only-include"]}
