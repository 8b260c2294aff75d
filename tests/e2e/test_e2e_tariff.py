"""A changed price in the operator's file is a new tariff version: the pile learns it, the partner is shown it, the next bill uses it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from charging_core.money import fen
from tests.e2e.operator_file import FIRST_PRICE, SECOND_PILE, SERVICE_PRICE
from tests.e2e.stage import Stage

pytestmark = pytest.mark.timeout(300)  # the first test sets the stage

CONNECTOR = f"{SECOND_PILE}01"
NEW_PRICE = "1.60000"
_SEQ = "MA5PARTN1260302000000000002"


def test_a_changed_price_changes_the_next_bill(stage: Stage) -> None:
    before = charge(stage)
    assert (before["elec_price"], shown_price(stage)) == (FIRST_PRICE, Decimal(FIRST_PRICE))
    assert stage.apply()["changes"] == [], "applying the same file again changes nothing"
    changed = stage.apply(NEW_PRICE)
    assert [(change["action"], change["kind"]) for change in changed["changes"]] == [("update", "tariff")]
    stage.until("the pile has confirmed the new version", lambda: shown_price(stage) == Decimal(NEW_PRICE))
    after = charge(stage)
    for line, price in ((before, FIRST_PRICE), (after, NEW_PRICE)):
        assert Decimal(line["elec_fee"]) == fen(Decimal(line["energy_kwh"]) * Decimal(price))
        assert Decimal(line["service_fee"]) == fen(Decimal(line["energy_kwh"]) * Decimal(SERVICE_PRICE))
    assert after["elec_price"] == NEW_PRICE


def charge(stage: Stage) -> dict[str, Any]:
    """A short charge; the one line of its bill, after the partner confirmed it."""
    seq = stage.whole_charge(CONNECTOR, minutes=2)
    stage.until_confirmed(seq)
    stage.piles.unplug(CONNECTOR)
    stage.until("the connector is free", lambda: stage.connector_state(CONNECTOR) == "idle")
    line: dict[str, Any]
    (line,) = stage.trace(seq)["order"]["details"]
    return line


def shown_price(stage: Stage) -> Decimal:
    """The energy price that a partner is shown."""
    answer = stage.partner.call("query_equip_business_policy", {"EquipBizSeq": _SEQ, "ConnectorID": CONNECTOR})
    assert answer.data is not None
    (period,) = answer.data["PolicyInfos"]
    return Decimal(period["ElecPrice"])
