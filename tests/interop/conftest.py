"""The independent parties meet the whole hub on the stage of the end-to-end tests, which is set once per run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.operator_file import OPERATOR, TENANT
from tests.e2e.programs import command
from tests.e2e.stage import Stage, shared_stage
from tests.interop.party import Caller, NotAsAgreed, Secrets
from tests.support.databases import Databases

Connect = Callable[..., str]
_NAMES = {"operator_secret": "operator", "data_secret": "data", "data_iv": "iv", "sig_secret": "sig"}


@pytest.fixture(scope="session")
def stage(
    pytestconfig: pytest.Config, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with shared_stage(pytestconfig, databases, tmp_path_factory) as stage:
        yield stage


@pytest.fixture
def connect(stage: Stage) -> Connect:
    """``connect(slug, operator_id, hub_secrets, own_secrets, url, **members)``: declares a link; returns where the hub serves it."""

    def declare(slug: str, operator_id: str, hub_issued: Secrets, own_issued: Secrets, url: str, **members: Any) -> str:
        environment = dict(stage.environment)
        keys: dict[str, dict[str, Any]] = {}
        for way, issued in (("inbound", hub_issued), ("outbound", own_issued)):
            names = {name: f"{slug}_{way}_{name}".upper().replace("-", "_") for name in _NAMES}
            environment |= {names[name]: getattr(issued, attribute) for name, attribute in _NAMES.items()}
            keys[way] = {name: {"env": variable} for name, variable in names.items()}
        partner = {
            "id": slug,
            "name": slug,
            "profile": "textbook",
            "our_operator_id": OPERATOR,
            "their_operator_id": operator_id,
            "outbound_base": url,
            "keys": keys,
            **members,
        }
        path = stage.folder / f"{slug}.yaml"
        path.write_text(yaml.safe_dump({"tenant": {"id": TENANT, "name": "绿能充电"}, "partners": [partner]}))
        assert json.loads(command(environment, "apply", str(path), "--json"))["applied"]
        stage.until("the hub serves the link", lambda: _served(Caller(operator_id, stage.inbound_url, hub_issued)))
        return stage.inbound_url

    return declare


def _served(caller: Caller) -> bool:
    """Web processes notice a new link within seconds; until then its caller is nobody, and is answered without a signature."""
    try:
        caller.raw("query_token", {})
    except NotAsAgreed:
        return False
    return True
