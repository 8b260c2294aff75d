"""OCPP piles in the operator's file: what may be said of them, and of no others."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hub.apply.catalog import PileSection

PILE: dict[str, Any] = {
    "code": "32010600007002",
    "kind": "ac",
    "power_kw": 7,
    "connectors": [
        {"number": 1, "kind": "ac_plug", "voltage_upper_v": 220, "voltage_lower_v": 220, "current_a": 32, "power_kw": 7}
    ],
}


def section(**more: Any) -> PileSection:
    return PileSection.model_validate({**PILE, **more}, context={"environ": {"CP": "long enough"}})


def test_an_ocpp_pile_has_a_name_and_a_password_by_reference_only() -> None:
    pile = section(
        protocol="ocpp16", charge_point_id="CP-7", password={"env": "CP"}, protocol_options={"heartbeat_s": 60}
    )
    assert pile.password is not None
    assert "long enough" not in repr(pile)
    assert (pile.spec().protocol, pile.spec().protocol_options) == ("ocpp16", {"heartbeat_s": 60})


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "ocpp16", "password": "in clear"},
        {"protocol": "ocpp16", "charge_point_id": "a/b"},
        {"protocol": "ocpp16", "charge_point_id": "a:b"},
        {"protocol": "ocpp16", "protocol_options": {"strict_crc": True}},
        {"protocol": "ykc", "password": {"env": "CP"}},
        {"protocol": "ykc", "charge_point_id": "CP-7"},
        {"protocol": "ykc", "protocol_options": {"heartbeat_s": 60}},
        {"protocol": "ocpp2"},
    ],
)
def test_what_does_not_belong_together_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        section(**wrong)
