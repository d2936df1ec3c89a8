"""docker-compose.yml, Dockerfile and `make env` belong together, and keep what docs/deploy.md promises.

No engine runs here: these are checks of the files. `tests/test_deploy.py` starts what they describe.
"""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import compose_env as env
from fastapi_stackauth.settings import Settings, environment_names, secret_file_names
from tests.support.compose import IMAGE, ROOT, TEXT, VARIABLE, aliases, document, fill_in, services
from tests.support.rows import rows

PROFILES = ("demo", "scale", "real")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
EVERY: dict[str, dict[str, Any]] = document()["services"]
SECRET = re.compile(r"PASSWORD|SECRET|_KEY$|_TOKEN$")
NO_SECRETS = {"STACK_EMAILABLE_API_KEY": "", "STACK_VERCEL_SANDBOX_TOKEN": "not-used"}
OURS = (IMAGE, "stackauth-example-proxy:local")
LISTENS_AS_USER_OF_ITS_IMAGE = {
    "auth": "its image ends with USER node",
}


def by_service(test: Any) -> Any:
    return pytest.mark.parametrize("name", EVERY)(test)


def instructions(stage: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions of one stage: `proxy`, `build`, or the last, `app`."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    pairs = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]
    starts = [number for number, (word, _) in enumerate(pairs) if word == "FROM"]
    names = [pairs[start][1].partition(" AS ")[2] or "app" for start in starts]
    number = names.index(stage)
    return pairs[starts[number] : [*starts, len(pairs)][number + 1]]


# --- the compose file ---


def test_it_follows_the_compose_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    run = subprocess.run([*command, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_service_has_known_profiles():
    """Every service belongs to a profile and no profile is unknown."""
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
def test_services_of_a_profile_share_no_port(profile: str):
    """In a profile no two services want one port and the app is published once."""
    published = [port.rsplit(":", 1)[0] for service in services(profile).values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))
    assert sum("APP_PORT" in port for port in published) == 1


@by_service
def test_ports_are_published_on_loopback_alone(name: str):
    assert all(port.startswith("127.0.0.1:${") for port in EVERY[name].get("ports", []))


@by_service
def test_dependencies_of_services_have_health_checks(name: str):
    """What a service waits for is in its profiles and has a health check."""
    for other, how in EVERY[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert EVERY[other]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert set(EVERY[name]["profiles"]) <= set(EVERY[other]["profiles"])


@by_service
def test_every_service_has_a_health_check_and_none_needs_curl(name: str):
    test = EVERY[name]["healthcheck"]["test"]
    assert not any("curl" in word for word in test)


def test_one_service_of_each_profile_builds_an_image_of_ours():
    """Else a tag is built several times, and a plain `up -d` recreates containers."""
    for profile in PROFILES:
        used = [service for service in services(profile).values() if service["image"] in OURS]
        built = [service["image"] for service in used if "build" in service]
        assert sorted(built) == sorted({service["image"] for service in used})
    assert all(service["image"] in OURS for service in EVERY.values() if "build" in service)


@by_service
def test_images_are_pinned_to_a_version(name: str):
    image, _, tag = EVERY[name]["image"].rpartition(":")
    assert image, "no tag"
    if EVERY[name]["image"] in OURS:
        return
    assert re.search(r"\d+\.\d+\.\d+|^\d+\.\d+-|^[0-9a-f]{7}$", tag), "a release, or a commit"


@by_service
def test_no_service_runs_as_root_or_can_become_it(name: str):
    service = EVERY[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    if service["image"] not in OURS and name not in LISTENS_AS_USER_OF_ITS_IMAGE:
        assert str(service["user"]).split(":")[0] not in ("0", "root")


def test_only_writing_services_have_a_writable_image():
    """Only services that write into their image have a writable one."""
    assert {name for name, service in EVERY.items() if not service.get("read_only")} == {"auth", "clickhouse"}


@by_service
def test_every_path_and_every_volume_exists(name: str):
    service = EVERY[name]
    if "build" in service:
        assert service["build"] == ({"context": ".", "target": "proxy"} if name == "proxy" else ".")
    assert set(service.get("secrets", [])) <= set(document()["secrets"])
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
        if variable in NO_SECRETS:
            assert value == NO_SECRETS[variable]
        elif SECRET.search(variable):
            assert VARIABLE.fullmatch(value), variable
    assert not re.search(r"://[^$/\s]+:[^$\s]+@", TEXT), "an address with a password in it"


@by_service
def test_settings_of_our_library_are_spelt_as_it_spells_them(name: str):
    fields = Settings.model_fields
    known = {spelling for field in fields for spelling in environment_names(field) + secret_file_names(field)}
    if EVERY[name]["image"] == IMAGE:
        given = {variable for variable in EVERY[name]["environment"] if variable.startswith("STACK_")}
        assert given <= known


@rows("name", ["app", "app-1", "app-2", "app-3", "app-real"])
def test_apps_use_the_internal_url_and_the_public_issuer(name: str):
    """Apps reach the server inside and accept the public issuer."""
    variables = dict(env.variables())
    environment = document(variables)["services"][name]["environment"]
    profile = EVERY[name]["profiles"][0]
    server = re.fullmatch(r"http://([a-z]+):8102", environment["STACK_API_URL"])
    assert server
    assert server[1] in services(profile)
    assert environment["STACK_ISSUERS"] == variables["AUTH_URL"]


@pytest.mark.parametrize("profile", ["demo", "scale"])
def test_webhooks_reach_an_app_with_the_same_secret(profile: str):
    """The emulators webhooks reach an app that shares their secret."""
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


def test_only_the_proxy_is_in_the_workers_network():
    """Only the proxy shares the workers network and workers believe its address alone."""
    inside = {name for name, service in EVERY.items() if "edge" in service.get("networks", [])}
    assert inside == {"proxy", "app-1", "app-2", "app-3"}
    started = services("scale", dict(env.variables()))
    (address,) = [network["ipv4_address"] for network in started["proxy"]["networks"].values()]
    for name in ("app-1", "app-2", "app-3"):
        command = started[name]["command"]
        assert command[command.index("--forwarded-allow-ips") + 1] == address
        assert started[name]["environment"]["STACK_TRUSTED_PROXIES"] == address


def test_no_worker_and_no_gateway_can_have_the_proxys_address():
    written = document(dict(env.variables()))
    (pool,) = written["networks"]["edge"]["ipam"]["config"]
    address = ip_address(written["services"]["proxy"]["networks"]["edge"]["ipv4_address"])
    assert address in IPv4Network(pool["subnet"])
    assert IPv4Network(pool["ip_range"]).subnet_of(IPv4Network(pool["subnet"]))
    assert address not in IPv4Network(pool["ip_range"])
    assert str(address) != pool["gateway"]


@pytest.mark.parametrize("name", ["app", "app-real"])
def test_without_proxy_an_app_trusts_its_gateway_only(name: str):
    """It is published itself, and stands behind a proxy on the host all the same."""
    written = document(dict(env.variables()))
    (pool,) = written["networks"]["default"]["ipam"]["config"]
    assert "networks" not in written["services"][name]
    assert written["services"][name]["environment"]["STACK_TRUSTED_PROXIES"] == pool["gateway"]


def test_networks_share_no_address():
    pools = [network["ipam"]["config"][0] for network in document(dict(env.variables()))["networks"].values()]
    one, other = (IPv4Network(pool["subnet"]) for pool in pools)
    assert not one.overlaps(other)
    for pool in pools:
        assert ip_address(pool["gateway"]) in IPv4Network(pool["subnet"])


def test_the_docs_end_every_profile():
    """`down` without `--profile '*'` leaves half a system."""
    commands = deploy_page().replace("A plain `down`", "")
    assert set(re.findall(r"(docker compose .*?)?\bdown\b", commands)) == {"docker compose --profile '*' "}


def test_the_proxy_believes_the_gateway_of_its_network_alone():
    """Connections to the published port come from there."""
    written = document(dict(env.variables()))
    (pool,) = written["networks"]["edge"]["ipam"]["config"]
    assert written["services"]["proxy"]["extra_hosts"] == [f"gateway:{pool['gateway']}"]
    configuration = (ROOT / "docs/nginx.conf").read_text("utf-8")
    assert re.findall(r"set_real_ip_from (\S+);", configuration) == ["gateway"]


def test_the_proxy_knows_each_worker_and_no_other():
    configuration = (ROOT / "docs/nginx.conf").read_text("utf-8")
    assert re.findall(r"server (\S+) resolve", configuration) == ["app-1:8000", "app-2:8000", "app-3:8000"]


@by_service
def test_logs_and_processes_of_every_service_are_limited(name: str):
    service = EVERY[name]
    assert 0 < service["pids_limit"] <= 4096
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}


def test_the_password_of_redis_stands_in_files_alone():
    """`docker inspect` shows the command and the environment of a container to whoever may use Docker."""
    started = services("scale", dict(env.variables()))
    readers = {name: service["secrets"] for name, service in started.items() if "secrets" in service}
    assert readers == {"redis": ["redis_conf"], **{f"app-{number}": ["redis_url"] for number in (1, 2, 3)}}
    assert "environment" not in started["redis"]
    assert started["redis"]["command"][1] == "/run/secrets/redis_conf"
    assert "--requirepass" not in started["redis"]["command"]
    assert started["app-1"]["environment"]["STACK_REDIS_URL_FILE"] == "/run/secrets/redis_url"
    files = dict(env.secret_files())
    password = urlsplit(files["redis_url"]).password
    assert password
    assert len(password) == 64
    assert files["redis.conf"] == f"requirepass {password}\n"
    assert {Path(secret["file"]).name for secret in document()["secrets"].values()} == set(files)
    assert {Path(secret["file"]).parent for secret in document()["secrets"].values()} == {Path(env.FOLDER)}


def test_what_the_pinned_auth_server_needs_to_send_email_is_set():
    """At this commit the renderer wants some token, and any key of the validation service counts as a real one."""
    assert EVERY["auth"]["image"] == "stackauth/server:53c1c9e"
    environment = EVERY["auth"]["environment"]
    assert environment["STACK_VERCEL_SANDBOX_TOKEN"] not in ("", "vercel_sandbox_disabled_for_local_development")
    assert environment["STACK_EMAILABLE_API_KEY"] == ""
    assert "`53c1c9e`" in deploy_page()


def test_the_emulators_seed_is_that_of_make_demo():
    assert (ROOT / "example_app/seed.json").is_file()
    assert "/app/example_app/seed.json" in EVERY["emulator"]["command"]


# --- the variables ---


def test_make_env_gives_every_variable_that_is_used_and_no_other():
    used = {found["name"] for found in VARIABLE.finditer(TEXT)}
    assert used | {"COMPOSE_PROFILES"} == {name for name, _ in env.variables()}
    assert "$" not in fill_in(TEXT, dict(env.variables()))


def test_a_missing_variable_stops_compose_with_a_hint():
    variables = dict(env.variables())
    del variables["NOTES_DATABASE_PASSWORD"]
    with pytest.raises(KeyError, match="NOTES_DATABASE_PASSWORD"):
        fill_in(TEXT, variables)
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


def test_make_env_writes_a_private_file_once(tmp_path: Path):
    """Make env writes a private file once with secrets of its own."""
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


def test_secret_files_are_readable_in_containers_only(tmp_path: Path):
    """Compose mounts them as they are: a container's user is another one, and a umask must not shut it out."""
    before = os.umask(0o077)
    try:
        env.write(tmp_path / ".env")
    finally:
        os.umask(before)
    folder = tmp_path / env.FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == dict.fromkeys(
        dict(env.secret_files()), 0o644
    )
    first = (folder / "redis_url").read_text("utf-8")
    (tmp_path / ".env").unlink()
    env.write(tmp_path / ".env")
    assert (folder / "redis_url").read_text("utf-8") != first, "new secrets with a new .env"
    assert not [path for path in folder.iterdir() if path.read_text("utf-8") in (tmp_path / ".env").read_text("utf-8")]


def test_make_env_refuses_in_one_line_to_overwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(env, "TARGET", tmp_path / ".env")
    env.main()
    with pytest.raises(SystemExit, match=r"is there already.*"):
        env.main()


def test_make_env_writes_missing_secret_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Who copies .env alone to another machine could start nothing that mounts them."""
    monkeypatch.setattr(env, "TARGET", tmp_path / ".env")
    env.main()
    kept = (tmp_path / ".env").read_text("utf-8")
    (tmp_path / env.FOLDER / "redis.conf").unlink()
    env.main()
    assert (tmp_path / ".env").read_text("utf-8") == kept
    password = (tmp_path / env.FOLDER / "redis.conf").read_text("utf-8").split()[1]
    assert f":{password}@" in (tmp_path / env.FOLDER / "redis_url").read_text("utf-8")


def test_make_env_needs_no_package():
    """It runs before anything is installed, on the system's Python."""
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({str(ROOT / 'compose_env.py')!r})"],
        check=False,
    )
    assert run.returncode == 0


def test_git_and_the_image_leave_the_env_file_out():
    assert {".env", f"{env.FOLDER}/"} <= set((ROOT / ".gitignore").read_text("utf-8").splitlines())
    assert (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1] == "*"


# --- the image ---


def test_both_stages_of_the_app_start_from_one_pinned_image():
    images = [rest.split()[0] for stage in ("build", "app") for word, rest in instructions(stage) if word == "FROM"]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", images[0])


def test_the_proxy_image_is_nginx_without_root():
    """The proxys image is nginx without root and our configuration."""
    assert [word for word, _ in instructions("proxy")] == ["FROM", "COPY"]
    (_, base), (_, copy) = instructions("proxy")
    assert re.match(r"nginxinc/nginx-unprivileged:\d+\.\d+\.\d+-alpine ", base)
    assert copy.split()[-2:] == ["docs/nginx.conf", "/etc/nginx/nginx.conf"]


def copies(stage: str) -> list[tuple[list[str], list[str], str]]:
    """Options, sources and target of each COPY of a stage."""
    found = [rest.split() for word, rest in instructions(stage) if word == "COPY"]
    options = [[word for word in words if word.startswith("--")] for words in found]
    return [(given, words[len(given) : -1], words[-1]) for given, words in zip(options, found, strict=True)]


def test_what_the_images_copy_exists_and_is_let_through():
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[0] == "!"}
    all_copies = [one for stage in ("proxy", "build", "app") for one in copies(stage)]
    copied = {source.removeprefix("./") for given, sources, _ in all_copies for source in sources if not _from(given)}
    assert all((ROOT / name).exists() for name in copied)
    assert copied == let_through


def _from(options: list[str]) -> bool:
    return any(option.startswith("--from=") for option in options)


def test_umask_077_clones_make_readable_images(tmp_path: Path):
    """COPY keeps the modes of files, and neither the app nor nginx runs as their owner."""
    assert all(given == ["--chmod=444"] for given, _, _ in copies("proxy"))
    assert all(_from(given) for given, _, _ in copies("app")), "what the build stage has opened"
    (tmp_path / "venv").mkdir(mode=0o700)
    source = tmp_path / "src" / "example_app"
    shutil.copytree(ROOT / "example_app", source, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [source, *source.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    (command,) = [rest for word, rest in instructions("build") if word == "RUN" and rest.startswith("chmod ")]
    subprocess.run(shlex.split(command.replace("/venv", f"{tmp_path}/venv")), cwd=source.parent, check=True)
    last = [("COPY", "example_app ./example_app"), ("RUN", command)]
    assert instructions("build")[-2:] == last, "after everything is there"
    for path in [tmp_path / "venv", source, *source.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_the_image_runs_without_root_or_installs():
    """The image is not run as root and installs nothing in its last stage."""
    last = instructions("app")
    (user,) = [rest for word, rest in last if word == "USER"]
    assert int(user) > 0
    words = [word for word, _ in last]
    assert words.index("USER") > max(number for number, word in enumerate(words) if word in ("RUN", "COPY"))
    assert not re.search(r"\b(pip|apt-get|gcc)\b", " ".join(rest for word, rest in last if word == "RUN"))


def test_the_image_starts_and_checks_what_the_compose_file_does():
    last = dict(instructions("app"))
    assert re.findall(r'"([^"]*)"', last["CMD"]) == EVERY["app"]["command"]
    assert re.findall(r'"([^"]*)"', last["HEALTHCHECK"]) == EVERY["app"]["healthcheck"]["test"][1:]


def test_the_files_that_a_build_needs_are_copied():
    copied = {Path(name).name for _, sources, _ in copies("build") for name in sources}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project, wheel = settings["project"], settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert copied >= {"README.md", "hatch_build.py", *project["license-files"], *wheel["only-include"]}
