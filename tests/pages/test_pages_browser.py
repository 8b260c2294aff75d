"""The pages in a real browser: they show what they should and load nothing from other hosts.

The browser is told to reach every other host through a proxy that does not exist, so a page that needs one stays empty.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from hub.migrate import upgrade
from hub.processes import HubProcess
from hub.settings import Settings

pytestmark = [pytest.mark.page, pytest.mark.sqlite("pages do not depend on the database")]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--proxy-server=127.0.0.1:1", "--proxy-bypass-list=127.0.0.1",
    "--virtual-time-budget=8000",
)  # fmt: skip


@pytest.fixture(scope="module")
def hub_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pages")
    settings = Settings(
        database_url=f"sqlite:///{folder / 'hub.db'}",
        secret_key=SecretStr("pages-test-secret-key"),
        web_port=0,
        pile_port=0,
        ocpp_port=0,
    )
    upgrade(settings.owner_url)
    with HubProcess(settings) as hub:
        hub.serve_in_thread()
        yield hub.web_url


def shown(url: str, profile: Path) -> str:
    """The page as the browser has built it, without its tags."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None, "this leg runs only where a Chromium is"
    command = [browser, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    body = re.sub(r"<(script|style)\b.*?</\1>", "", done.stdout, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_status_page_says_what_runs(hub_url: str, tmp_path: Path) -> None:
    page = shown(hub_url + "/", tmp_path)
    assert "正常 · ready" in page
    assert "sqlite, schema at head" in page
    assert "/docs" in page


def test_the_documents_are_listed(hub_url: str, tmp_path: Path) -> None:
    page = shown(hub_url + "/docs", tmp_path)
    assert all(name in page for name in ("T/CEC 102 互联互通接口", "控制台接口", "回调接口"))


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ("tcec102", "/query_start_charge"),
        ("console", "/orders/{order}/trace"),
        ("app", "/stations"),
        ("callbacks", "/parking/{inbound_token}"),
    ],
)
def test_each_document_is_rendered_from_this_host_alone(
    hub_url: str, tmp_path: Path, document: str, operation: str
) -> None:
    page = shown(f"{hub_url}/docs/{document}/", tmp_path).replace("\u200b", "")
    assert operation in page.replace(" ", "")
