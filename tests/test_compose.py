"""The Compose files and the Dockerfile say nothing that the program does not: commands, settings, ports, files."""

from __future__ import annotations

import re
import shutil
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from runtime.cli.main import app
from runtime.configuration import load
from runtime.settings import PREFIX, Settings, SettingsError
from tests.compose import NotOurs, filled, over
from tests.compose import load as read_yaml

ROOT = Path(__file__).parent.parent
BASE, TOP = "docker-compose.yml", "docker-compose.production.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = {"api", "worker", "edge", "migrate", "backup"}
ROLES = {"api", "worker", "edge"}
ONCE = {"migrate", "backup"}

GIVEN = {
    "SECRETS_DIR": "/etc/tracker",
    "TRACKER_IMAGE": "tracker-platform:1",
    "PUBLIC_URL": "https://example.org",
    "TRACKER_URL": "https://tracker.example.org",
    "MAIL_URL": "smtps://tracker@mail.example.org",
    "MAIL_SENDER": "noreply@example.org",
}


@cache
def trial() -> Any:
    return filled(read_yaml((ROOT / BASE).read_text()), {})


@cache
def production() -> Any:
    top = read_yaml((ROOT / TOP).read_text())
    return filled(over(read_yaml((ROOT / BASE).read_text()), top), GIVEN)


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"trial": trial, "production": production}[name]()["services"]
    return found


both = pytest.mark.parametrize("name", ["trial", "production"])


def command_exists(arguments: list[str]) -> bool:
    """Whether `tracker ARGUMENTS` names a command and options that it has."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while rest and hasattr(command, "commands"):
        command = command.commands.get(rest.pop(0))
    if command is None or (hasattr(command, "commands") and not command.invoke_without_command):
        return False
    known = {option for parameter in command.params for option in parameter.opts}
    return all(one in known for one in rest if one.startswith("--"))


@both
def test_every_service_of_ours_runs_a_command_that_there_is(name: str) -> None:
    assert re.search(r'^ENTRYPOINT \["tracker"\]$', DOCKERFILE, re.MULTILINE)
    for service in OURS:
        assert command_exists(services(name)[service]["command"]), service
    assert {services(name)[role]["command"][0] for role in ROLES} == ROLES


def test_every_command_that_the_manual_names_is_there() -> None:
    named = re.findall(r"`tracker ([a-z][^`]*)`", (ROOT / "docs" / "operations.md").read_text())
    assert len(named) > 20
    wrong = [one for one in named if not command_exists([word for word in one.split() if word not in {"NAME"}])]
    assert wrong == []


def test_every_setting_that_the_manual_names_is_there() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    known = Settings().environ().keys()
    assert [one for one in re.findall(r"APP__[A-Z_]+[A-Z]", manual) if one not in known] == []


@pytest.mark.parametrize(
    "arguments", [["apis"], ["backup"], ["backup", "make"], ["backup", "create", "--folder", "/backups"]]
)
def test_a_command_that_there_is_not_is_found(arguments: list[str]) -> None:
    assert not command_exists(arguments)


@both
def test_every_variable_of_ours_is_a_setting_with_a_good_value(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    secret = (ROOT / "ops/compose/trial/tracker.env").read_text()
    (tmp_path / ".env").write_text(re.sub(r"change-me(-in|-too|-as)", r"x\1", secret))
    for service in OURS:
        settings = load(strings(services(name)[service]["environment"]), tmp_path)
        assert settings.production == (name == "production")
        assert settings.database.url.startswith("postgresql://tracker_app:")
        assert settings.redis.url
        assert settings.search.url


def strings(environment: dict[str, Any]) -> dict[str, str]:
    assert all(isinstance(value, str) for value in environment.values()), "Compose wants strings"
    assert all(key.startswith(PREFIX) for key in environment)
    return dict(environment)


def test_production_refuses_the_secrets_of_the_trial(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copy(ROOT / "ops/compose/trial/tracker.env", tmp_path / ".env")
    with pytest.raises(SettingsError, match="is the sample secret"):
        load(strings(services("production")["api"]["environment"]), tmp_path)


@pytest.mark.parametrize("left_out", sorted(GIVEN))
def test_production_asks_for_what_it_must_be_told(left_out: str) -> None:
    merged = over(read_yaml((ROOT / BASE).read_text()), read_yaml((ROOT / TOP).read_text()))
    with pytest.raises(KeyError, match=left_out):
        filled(merged, {name: value for name, value in GIVEN.items() if name != left_out})


def test_no_secret_of_production_comes_from_the_repository() -> None:
    files = {name: secret["file"] for name, secret in production()["secrets"].items()}
    assert files.keys() == trial()["secrets"].keys()
    assert all(file.startswith("/etc/tracker/") for file in files.values())
    for service, said in production()["services"].items():
        for name, value in said.get("environment", {}).items():
            secret = re.search(r"PASSWORD|SECRET|KEY", name)
            assert not secret or value.startswith("/run/secrets/"), f"{service}: {name}"
    for name, secret in trial()["secrets"].items():
        assert "change-me" in (ROOT / secret["file"]).read_text(), f"{name} is a sample and says so"


@both
def test_secrets_are_mounted_where_they_are_read(name: str) -> None:
    known = {"trial": trial, "production": production}[name]()["secrets"]
    for service, said in services(name).items():
        sources = {one if isinstance(one, str) else one["source"] for one in said.get("secrets", [])}
        assert sources <= known.keys(), service
        read = {value for value in map(str, said.get("environment", {}).values()) if "/run/secrets/" in value}
        assert {Path(value).name for value in read} <= sources, service
    workdir = re.findall(r"^WORKDIR (\S+)$", DOCKERFILE, re.MULTILINE)[-1]
    targets = {secret["target"] for service in OURS for secret in services(name)[service]["secrets"]}
    assert targets == {f"{workdir}/.env"}
    assert f"COPY config {workdir}/config" in DOCKERFILE
    roles = (ROOT / "ops/compose/roles.sh").read_text()
    assert set(re.findall(r"/run/secrets/(\w+)", roles)) <= set(services(name)["postgres"]["secrets"])


def test_the_database_has_the_roles_that_migrations_and_urls_name() -> None:
    roles = set(re.findall(r"CREATE ROLE (\w+) LOGIN", (ROOT / "ops/compose/roles.sh").read_text()))
    migrations = [(ROOT / "migrations" / name).read_text() for name in ("0001_event_store.sql", "0102_roles.sql")]
    assert roles == {role for one in migrations for role in re.findall(r"'(tracker_\w+)'", one.split("LOOP")[0])}
    secret = (ROOT / "ops/compose/trial/tracker.env").read_text()
    trial_dir = ROOT / "ops/compose/trial"
    app_password = (trial_dir / "app_password").read_text()
    owner_password = (trial_dir / "postgres_password").read_text()
    postgres = services("trial")["postgres"]["environment"]
    assert f"//tracker_app:{app_password}@postgres:5432/{postgres['POSTGRES_DB']}\n" in secret
    owner = f"//{postgres['POSTGRES_USER']}:{owner_password}@postgres:5432/{postgres['POSTGRES_DB']}\n"
    assert owner in (trial_dir / "owner.env").read_text()
    key = tomllib.loads((trial_dir / "meilisearch.toml").read_text())["master_key"]
    assert f"APP__SEARCH__API_KEY={key}\n" in secret
    found = re.search(r"^user (\w+) on >(\S+) ", (trial_dir / "valkey.acl").read_text(), re.MULTILINE)
    assert found
    assert f"APP__REDIS__URL=redis://{found[1]}:{found[2]}@valkey:6379/0\n" in secret


@both
def test_only_what_migrates_is_told_who_owns_the_database(name: str) -> None:
    trial_dir = ROOT / "ops/compose/trial"
    told, others = ((trial_dir / file).read_text().splitlines()[1:] for file in ("owner.env", "tracker.env"))
    assert [line.partition("=")[0] for line in told if line not in others] == [
        "APP__DATABASE__OWNER_URL",
        "APP__KEYS__OWNER_URL",
    ]
    assert set(others) < set(told)
    mounted = {service: services(name)[service]["secrets"][0]["source"] for service in OURS}
    assert {service for service, source in mounted.items() if source == "owner_env"} == {"migrate"}


def listening(settings: Settings) -> dict[str, set[str]]:
    telemetry = f"{settings.telemetry.metrics_port}/tcp"
    edge = {f"{settings.edge.http_port}/tcp", f"{settings.edge.udp_port}/udp", telemetry}
    return {"api": {f"{settings.server.port}/tcp", telemetry}, "worker": {telemetry}, "edge": edge}


def as_set(said: dict[str, Any], root: Path) -> Settings:
    """The settings of a service, without what only production asks for."""
    return load({**strings(said["environment"]), f"{PREFIX}TELEMETRY__ENVIRONMENT": "test"}, root)


@both
def test_every_port_is_one_that_somebody_listens_on(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    others = {"grafana": {"3000/tcp"}, "prometheus": {"9090/tcp"}}
    seen = set()
    for service, said in services(name).items():
        for port in said.get("ports", []):
            host, _, inside = port.rpartition(":")
            inside = inside if "/" in inside else f"{inside}/tcp"
            known = others.get(service) or listening(as_set(said, tmp_path))[service]
            assert inside in known, f"{service}: {port}"
            assert service == "edge" or host.startswith("127.0.0.1:"), f"{service} is for this machine or a proxy on it"
            assert host not in seen or service == "edge", port
            seen.add(host)
    exposed = set(re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[0].split())
    assert exposed == set().union(*listening(load({}, tmp_path)).values())


@both
def test_health_checks_ask_ports_and_paths_that_answer(name: str) -> None:
    url = re.compile(r"127\.0\.0\.1:(\d+/[\w/]*)")
    asked = {role: url.findall(str(services(name)[role]["healthcheck"])) for role in ROLES}
    assert asked == {"api": ["8080/health/ready"], "worker": ["9090/metrics"], "edge": ["9090/metrics"]}
    assert all("healthcheck" in said for service, said in services(name).items() if service not in ONCE)


@both
def test_every_mounted_file_is_there_and_every_volume_is_declared(name: str) -> None:
    declared, used = {"trial": trial, "production": production}[name]()["volumes"].keys(), set()
    for service, said in services(name).items():
        for volume in said.get("volumes", []):
            source, target, *mode = volume.split(":")
            assert target.startswith("/"), volume
            if source.startswith("."):
                assert (ROOT / source).exists(), volume
                assert mode == ["ro"], f"{service}: {volume}"
            else:
                used.add(source)
    assert used == declared
    data_dir = re.findall(r"APP__DATA_DIR=(\S+)", DOCKERFILE)[0]
    for service in OURS:
        assert f"state:{data_dir}" in services(name)[service]["volumes"]
        assert services(name)[service]["environment"]["APP__DATA_DIR"] == data_dir
    command = services(name)["backup"]["command"]
    assert f"backups:{command[command.index('--dir') + 1]}" in services(name)["backup"]["volumes"]


@both
def test_services_start_after_those_that_they_need(name: str) -> None:
    found = services(name)
    for service, said in found.items():
        for other, wanted in said.get("depends_on", {}).items():
            health = wanted["condition"] == "service_healthy"
            assert health == ("healthcheck" in found[other]), f"{service} waits for {other}"
    assert all("migrate" in found[role]["depends_on"] for role in ROLES)


def test_production_holds_every_service_tightly() -> None:
    for service, said in services("production").items():
        assert said["read_only"] is True, service
        assert said["cap_drop"] == ["ALL"], service
        assert said["security_opt"] == ["no-new-privileges:true"], service
        assert said["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, service
        assert said["restart"] == ("no" if service in ONCE else "unless-stopped"), service
        assert "max-size" in said["logging"]["options"], service
        assert not said.get("privileged"), service
    assert services("production").keys() == services("trial").keys()
    assert not any("cap_add" in services("production")[service] for service in OURS)


@both
def test_images_are_named_by_version(name: str) -> None:
    for service, said in services(name).items():
        if service not in OURS:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", said["image"]), service
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}


def test_the_image_has_what_the_program_needs_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    assert copied == packages
    removed = set(re.findall(r"uninstall --yes \\\n\s+(.*)", DOCKERFILE)[0].split())
    dev = {re.split(r"[<>=\[]", one)[0] for one in project["project"]["optional-dependencies"]["dev"]}
    assert removed == dev - {"setuptools"}, "setuptools builds the package"
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    wanted = set(" ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)).split())
    assert allowed == wanted
    assert all((ROOT / one).exists() for one in allowed)


def test_the_image_runs_as_nobody_in_particular() -> None:
    final = DOCKERFILE.split("FROM ")[-1]
    user = re.findall(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
    assert user == [("10001", "10001")]
    assert final.index("USER 10001") < final.index("ENTRYPOINT")
    assert "useradd --uid 10001" in final


@pytest.mark.parametrize(
    "text", ["a: 'b'", "a: |\n  b", "a: !tag b", "a: 1\na: 2", "a:\n\tb: 1", "- a\nb: 1", "a: [b", "a: &x b"]
)
def test_yaml_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises((NotOurs, IndexError)):
        read_yaml(text)


def test_yaml_is_read_as_compose_reads_it() -> None:
    found = read_yaml("""
x: &x   # a comment
  a: "1"
  l: ["p", "q r", s]
y: &y
  b: 2
  c: "http://h:1/#x"
z:
  <<: [*x, *y]
  a: true
s:
  - source: t
    target: /app
  - "u:v"
  - w:/x
e: {k: v, m: "n: o"}
""")
    assert found["z"] == {"a": True, "l": ["p", "q r", "s"], "b": 2, "c": "http://h:1/#x"}
    assert found["s"] == [{"source": "t", "target": "/app"}, "u:v", "w:/x"]
    assert found["e"] == {"k": "v", "m": "n: o"}


def test_a_file_on_top_replaces_commands_and_adds_to_lists() -> None:
    base = {"s": {"command": ["a"], "tmpfs": ["/x"], "environment": {"A": "1", "B": "2"}}}
    top = {"s": {"command": ["b"], "tmpfs": ["/y"], "environment": {"B": "3"}}, "t": {"image": "i"}}
    merged = over(base, top)
    assert merged["s"] == {"command": ["b"], "tmpfs": ["/x", "/y"], "environment": {"A": "1", "B": "3"}}
    assert merged["t"] == {"image": "i"}
