"""Settings: from environment and file, every wrong key told in words, secrets masked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import SettingsError
from hub.settings import load_settings, masked

KEY = "0123456789abcdef-secret"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_SECRET_KEY", KEY)
    monkeypatch.delenv("HUB_CONFIG", raising=False)


def problems() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return "\n".join(caught.value.problems)


def test_defaults_are_an_embedded_hub_on_loopback() -> None:
    settings = load_settings()
    assert (settings.bind, settings.web_port, settings.pile_port, settings.ocpp_port) == ("127.0.0.1", 8080, 8768, 8769)
    assert settings.embedded


def test_every_wrong_key_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_WEB_PORT", "eighty")
    monkeypatch.setenv("HUB_LOG_FORMAT", "xml")
    monkeypatch.setenv("HUB_DATABSE_URL", "sqlite:///x.db")
    said = problems()
    assert "HUB_WEB_PORT" in said
    assert "HUB_LOG_FORMAT" in said
    assert "HUB_DATABASE_URL?" in said


def test_a_missing_or_short_key_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_SECRET_KEY")
    assert "hub settings --generate-key" in problems()
    monkeypatch.setenv("HUB_SECRET_KEY", "short-one")
    said = problems()
    assert "16" in said
    assert "short-one" not in said


def test_a_demo_clock_is_refused_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_CLOCK", "2026-03-02T07:20:00+08:00@60")
    assert load_settings().clock
    monkeypatch.setenv("HUB_ENVIRONMENT", "production")
    assert "HUB_CLOCK" in problems()
    monkeypatch.setenv("HUB_CLOCK", "soon")
    assert "HUB_CLOCK" in problems()


@pytest.mark.parametrize("url", ["mysql://h/d", "postgresql+asyncpg://h/d", "hub.db"])
def test_other_databases_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", url)
    assert "HUB_DATABASE_URL" in problems()


def test_a_plain_postgresql_address_gets_our_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://u:p@h/d")
    assert load_settings().database_url == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize(
    ("name", "content"),
    [("hub.yaml", "web_port: 9000\nlog_level: debug\n"), ("hub.toml", 'HUB_WEB_PORT = 9000\nlog_level = "debug"\n')],
)
def test_a_file_gives_values_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    monkeypatch.setenv("HUB_CONFIG", str(tmp_path / name))
    assert (load_settings().web_port, load_settings().log_level) == (9000, "debug")
    monkeypatch.setenv("HUB_WEB_PORT", "9001")
    assert load_settings().web_port == 9001


def test_an_unknown_key_of_the_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text("web_prot: 1\n")
    monkeypatch.setenv("HUB_CONFIG", str(tmp_path / "hub.yaml"))
    assert "HUB_WEB_PROT" in problems()
    monkeypatch.setenv("HUB_CONFIG", str(tmp_path / "absent.yaml"))
    assert "HUB_CONFIG" in problems()


def test_how_long_history_is_kept_is_said_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_KEEP_ATTEMPTS_DAYS", "default=30, partner=180")
    assert load_settings().keep_attempts_days == {"default": 30, "partner": 180}
    monkeypatch.setenv("HUB_KEEP_ATTEMPTS_DAYS", "partners=180,park")
    found = problems()
    assert "HUB_KEEP_ATTEMPTS_DAYS" in found
    assert "'default', 'partner', 'regulator' or 'park'" in found


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql+psycopg://hub:topsecret@h/d")
    monkeypatch.setenv("HUB_REDIS_URL", "redis://:alsosecret@h:6379/0")
    shown = "\n".join(masked(load_settings()).values())
    assert KEY not in shown
    assert "topsecret" not in shown
    assert "alsosecret" not in shown
