"""The conformance kit against the whole hub, a real charge and its pushes included: it passes completely."""

from __future__ import annotations

import pytest

from partners.tcec102.conformance.kit import examine
from partners.tcec102.conformance.listening import PushListener
from partners.tcec102.conformance.model import Role, Status
from partners.tcec102.conformance.target import make_target
from partners.tcec102.contract import Contract
from tests.e2e.operator_file import OPERATOR
from tests.e2e.stage import Stage
from tests.interop.conftest import Connect
from tests.interop.party import Secrets

KIT = "MA5KIT001"
HUB_ISSUED = Secrets("hub-operator-key-2", "hubDataSecret002", "hubInitVector002", "hubSignSecret0002")
OWN_ISSUED = Secrets("own-operator-key-2", "ownDataSecret002", "ownInitVector002", "ownSignSecret0002")


def keys(issued: Secrets) -> dict[str, str]:
    return {
        "operator_secret": issued.operator,
        "data_secret": issued.data,
        "data_iv": issued.iv,
        "sig_secret": issued.sig,
    }


@pytest.mark.timeout(300)
def test_our_own_hub_passes_completely_with_a_charge_and_its_pushes(stage: Stage, connect: Connect) -> None:
    connector = stage.free_connector()
    stage.plug(connector)
    target = make_target(
        {
            "operator_id": KIT,
            "their_operator_id": OPERATOR,
            "keys": keys(HUB_ISSUED),
            "own_keys": keys(OWN_ISSUED),
            "connector_id": connector,
            "start_charge": True,
        }
    )
    assert target.own_keys is not None
    contract = Contract.standard()
    listener = PushListener("127.0.0.1", 0, contract, stage.clock, target.own_keys.key_set(), OPERATOR, KIT)
    try:
        url = connect("kit", KIT, HUB_ISSUED, OWN_ISSUED, listener.url)
        report = examine(Role.CPO, url, target, contract=contract, clock=stage.clock, listener=listener)
    finally:
        listener.close()
    assert [(result.check.id, result.field, result.detail) for result in report.complaints] == []
    assert [result.check.id for result in report.with_status(Status.SKIPPED)] == []
    assert [result.check.id for result in report.with_status(Status.BLOCKED)] == []
