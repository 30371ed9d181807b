from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.configuration import SAMPLE_SECRET, load
from runtime.settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cr3t-value-that-must-never-be-shown"
PRODUCTION = {
    "APP__TELEMETRY__ENVIRONMENT": "production",
    "APP__DATABASE__URL": "postgresql://app:pw@db/tracker",
    "APP__KEYS__DATABASE_URL": "postgresql://app:pw@keys/tracker_keys",
    "APP__REDIS__URL": "redis://cache:6379",
    "APP__AUTH__JWT_SECRET": "j" * 32,
    "APP__SECURITY__SITE_SECRET": "s" * 32,
    "APP__SECURITY__KEY_ENCRYPTION_KEY": "k" * 32,
    "APP__EDGE__ALLOW_PRIVATE_ADDRESSES": "false",
    "APP__MAIL__URL": "smtps://tracker@mail.example.org",
    "APP__MAIL__SENDER": "noreply@example.org",
}
SOURCES = ["variable", "environment file", "default file", ".env"]


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def refusal(environ: dict[str, str], root: Path) -> str:
    with pytest.raises(SettingsError) as error:
        load(environ, root)
    return str(error.value)


@pytest.mark.parametrize("highest", range(len(SOURCES) + 1))
def test_a_higher_source_goes_over_all_lower_ones(tmp_path: Path, highest: int) -> None:
    environ = {"APP__TELEMETRY__ENVIRONMENT": "test"}
    present = SOURCES[highest:]
    if "variable" in present:
        environ["APP__SERVER__PORT"] = "1001"
    if "environment file" in present:
        write(tmp_path, "config/test.toml", "[server]\nport = 1002\n")
    if "default file" in present:
        write(tmp_path, "config/default.toml", "[server]\nport = 1003\n")
    if ".env" in present:
        write(tmp_path, ".env", "APP__SERVER__PORT=1004\n")
    assert load(environ, tmp_path).server.port == [1001, 1002, 1003, 1004, 8080][highest]


def test_sources_merge_within_a_section(tmp_path: Path) -> None:
    write(tmp_path, "config/default.toml", '[server]\nport = 1003\npublic_url = "https://a.example/"\n')
    settings = load({"APP__SERVER__HOST": "0.0.0.0"}, tmp_path)
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 1003)
    assert settings.server.base_url == "https://a.example"


def test_the_environment_may_be_named_by_a_file(tmp_path: Path) -> None:
    write(tmp_path, ".env", "APP__TELEMETRY__ENVIRONMENT=staging\nPOSTGRES_PASSWORD=of-compose\n")
    write(tmp_path, "config/staging.toml", "[server]\nport = 1002\n")
    settings = load({}, tmp_path)
    assert (settings.telemetry.environment, settings.server.port) == ("staging", 1002)


def test_without_any_source_everything_binds_to_this_machine_only(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert settings == Settings()
    assert {settings.server.host, settings.edge.host, settings.telemetry.metrics_host} == {"127.0.0.1"}


def test_an_ipv6_host_gets_brackets_in_urls(tmp_path: Path) -> None:
    settings = load({"APP__SERVER__HOST": "::1", "APP__EDGE__HOST": "::1"}, tmp_path)
    assert (settings.server.base_url, settings.edge.base_url) == ("http://[::1]:8080", "http://[::1]:6969")


def test_lists_of_networks_are_separated_by_commas(tmp_path: Path) -> None:
    settings = load({"APP__EDGE__TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8"}, tmp_path)
    assert [str(network) for network in settings.edge.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]


def test_a_child_process_reads_the_same_settings_from_the_variables_they_give(tmp_path: Path) -> None:
    environ = {**PRODUCTION, "APP__EDGE__TRUSTED_PROXIES": "10.0.0.0/8,::1/128", "APP__DATA_DIR": str(tmp_path)}
    settings = load(environ, ROOT)
    assert load(settings.environ(), tmp_path) == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().server.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP__SERVER__HOST", ""),
        ("APP__SERVER__PORT", SECRET),
        ("APP__SERVER__PORT", ""),
        ("APP__SERVER__PORT", "65536"),
        ("APP__SERVER__PUBLIC_URL", f"ftp://{SECRET}"),
        ("APP__DATABASE__URL", f"mysql://u:{SECRET}@h/db"),
        ("APP__DATABASE__URL", f"postgresql://u:{SECRET}@h/db?no_such_option=1"),
        ("APP__DATABASE__MAX_CONNECTIONS", "0"),
        ("APP__REDIS__URL", f"amqp://{SECRET}"),
        ("APP__SEARCH__URL", SECRET),
        ("APP__AUTH__JWT_SECRET", "too-short-secret"),
        ("APP__SECURITY__SITE_SECRET", "too-short-secret"),
        ("APP__SECURITY__KEY_ENCRYPTION_KEY", "too-short-secret"),
        ("APP__AUTH__JWT_EXPIRATION_HOURS", "a day"),
        ("APP__REGISTRATION__MODE", SECRET),
        ("APP__REGISTRATION__VERIFY_EMAIL", SECRET),
        ("APP__EDGE__ID", "../../etc"),
        ("APP__EDGE__UDP_PORT", "-1"),
        ("APP__EDGE__MIN_INTERVAL_S", "1801"),
        ("APP__EDGE__PEER_TTL_S", "1800"),
        ("APP__EDGE__ACKNOWLEDGE", SECRET),
        ("APP__EDGE__TRUSTED_PROXIES", "10.0.0.1/8"),
        ("APP__TELEMETRY__LOG_LEVEL", SECRET),
        ("APP__TELEMETRY__LOG_FORMAT", SECRET),
        ("APP__TELEMETRY__METRICS_ENABLED", SECRET),
        ("APP__TELEMETRY__METRICS_PORT", SECRET),
        ("APP__TELEMETRY__ENVIRONMENT", "prodution"),
        ("APP__TELEMETRY__ENVIRONMENT", "../production"),
        ("APP__SERVR__PORT", SECRET),
        ("APP__SERVER", "{}"),
        ("APP__server__port", SECRET),
    ],
)
def test_a_malformed_or_unknown_variable_is_one_line_with_its_name_and_without_its_value(
    tmp_path: Path, name: str, value: str
) -> None:
    line = refusal({name: value}, tmp_path)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert SECRET not in line
    assert "too-short-secret" not in line


def test_every_unknown_variable_is_named(tmp_path: Path) -> None:
    line = refusal({"APP__SERVR__PORT": "1", "APP__EDGE__PROT": "2", "PATH": "/bin"}, tmp_path)
    assert line == "APP__EDGE__PROT: unknown setting; APP__SERVR__PORT: unknown setting"


def test_an_unknown_name_cannot_break_the_line(tmp_path: Path) -> None:
    assert refusal({"APP__X\n\x1b[2J": "1"}, tmp_path) == "APP__X??[2J: unknown setting"


def test_an_unknown_key_in_a_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, "config/default.toml", "[server]\nprot = 1\n")
    assert refusal({}, tmp_path) == "APP__SERVER__PROT: unknown setting"


def test_a_section_that_is_no_table_is_named(tmp_path: Path) -> None:
    write(tmp_path, "config/default.toml", "telemetry = 1\n")
    assert refusal({}, tmp_path).startswith("APP__TELEMETRY: ")


@pytest.mark.parametrize("content", [b"[server\nport = 1", b"\xff\xfe"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "default.toml").write_bytes(content)
    assert refusal({}, tmp_path) == "config/default.toml: not a readable TOML file"


def test_production_starts_with_everything_set() -> None:
    settings = load(PRODUCTION, ROOT)
    assert settings.production
    assert settings.registration.mode == "invite"


@pytest.mark.parametrize("name", [name for name in PRODUCTION if name != "APP__TELEMETRY__ENVIRONMENT"])
def test_production_refuses_to_start_without_a_setting_that_it_needs(tmp_path: Path, name: str) -> None:
    line = refusal({key: value for key, value in PRODUCTION.items() if key != name}, tmp_path)
    assert line.startswith(f"{name}: ")
    assert line.count("APP__") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP__AUTH__JWT_SECRET", "j" * 31),
        ("APP__AUTH__JWT_SECRET", "change-me-in-production-min-32-characters-long-secret-key"),
        ("APP__EDGE__ALLOW_PRIVATE_ADDRESSES", "true"),
        ("APP__MAIL__URL", "smtp://tracker@mail.example.org"),
        ("APP__EDGE__TRUSTED_PROXIES", "0.0.0.0/0"),
        ("APP__EDGE__TRUSTED_PROXIES", "10.0.0.0/8,::/0"),
        ("APP__DATABASE__URL", "postgresql://db/tracker?options=-c%20synchronous_commit%3Doff"),
        ("APP__DATABASE__URL", "postgresql://db/tracker?options=--synchronous-commit%3Dof"),
        ("APP__DATABASE__OWNER_URL", "postgresql://db/tracker?options=-cfsync%3D0"),
    ],
)
def test_production_refuses_what_is_unsafe(tmp_path: Path, name: str, value: str) -> None:
    assert refusal({**PRODUCTION, name: value}, tmp_path).startswith(f"{name}: ")


def test_production_takes_server_options_that_lose_nothing(tmp_path: Path) -> None:
    url = "postgresql://db/tracker?options=-c%20synchronous_commit%3Don%20-c%20jit%3Doff"
    assert load({**PRODUCTION, "APP__DATABASE__URL": url}, tmp_path).database.url == url


def test_a_file_cannot_talk_production_out_of_being_production(tmp_path: Path) -> None:
    write(tmp_path, "config/production.toml", '[telemetry]\nenvironment = "development"\n')
    write(tmp_path, ".env", "APP__TELEMETRY__ENVIRONMENT=production\n")
    assert refusal({}, tmp_path).startswith("APP__AUTH__JWT_SECRET: ")


def test_the_example_file_works_for_a_trial_and_is_refused_in_production(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    settings = load({}, tmp_path)
    secrets = (settings.auth.jwt_secret, settings.security.site_secret, settings.security.key_encryption_key)
    assert all(secret.get_secret_value().startswith(SAMPLE_SECRET) for secret in secrets)
    kept = {name: value for name, value in PRODUCTION.items() if "SECRET" not in name and "KEY" not in name}
    assert refusal(kept, tmp_path).count("is the sample secret") == 3


def test_a_secret_does_not_show_in_a_repr(tmp_path: Path) -> None:
    assert SECRET not in repr(load({"APP__AUTH__JWT_SECRET": SECRET}, tmp_path))
