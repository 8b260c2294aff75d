"""The members of every body that the fake operator is asked with (T/CEC 102 clause 11, requests)."""

from __future__ import annotations

from collections.abc import Mapping

from partners.fake.fields import Checker, table

SEQUENCE_OF: Mapping[str, str] = {"query_equip_auth": "EquipAuthSeq", "query_equip_business_policy": "EquipBizSeq"}

QUESTIONS: Mapping[str, str] = {
    "query_stations_info": """
        LastQueryTime       - time
        PageNo              - int
        PageSize            - int
    """,
    "query_station_status": "StationIDs R strs",
    "query_station_stats": """
        StationID           R str:20
        StartTime           R date
        EndTime             R date
    """,
    "query_equip_auth": """
        EquipAuthSeq        R str=27
        ConnectorID         R str:26
    """,
    "query_equip_business_policy": """
        EquipBizSeq         R str=27
        ConnectorID         R str:26
    """,
    "query_start_charge": """
        StartChargeSeq      R str=27
        ConnectorID         R str:26
        QRCode              - str:512
        PhoneNum            - str:32
        PlateNum            - str:20
        Balance             - dec:2
    """,
    "query_equip_charge_status": "StartChargeSeq R str=27",
    "query_stop_charge": """
        StartChargeSeq      R str=27
        ConnectorID         R str:26
    """,
}
"""What a customer's platform asks of an operator, by interface. QRCode is required by the table and absent in many calls."""


def operator_checker() -> Checker:
    """The checker of these tables."""
    return Checker({name: table(text) for name, text in QUESTIONS.items()})
