"""The members of every body that the fake partner receives or asks for (T/CEC 102 clauses 10 and 11; amounts as published)."""

from __future__ import annotations

from collections.abc import Mapping

from partners.fake.fields import Checker, Table, respelled, table

DETAIL = """
DetailStartTime     R time
DetailEndTime       R time
ElecPrice           - dec:4
SevicePrice         - dec:4
DetailPower         R dec:{energy}
DetailElecMoney     - dec:2
DetailSeviceMoney   - dec:2
"""

CHARGE_STATUS = """
StartChargeSeq      R str=27
StartChargeSeqStat  R int:1,2,3,4,5
ConnectorID         R str:26
ConnectorStatus     R int:0,1,2,3,4,255
CurrentA            R dec:2
CurrentB            - dec:2
CurrentC            - dec:2
VoltageA            R dec:2
VoltageB            - dec:2
VoltageC            - dec:2
Soc                 R dec:2
StartTime           R time
EndTime             R time
TotalPower          R dec:{energy}
ElecMoney           - dec:2
SeviceMoney         - dec:2
TotalMoney          - dec:2
SumPeriod           - int
ChargeDetails       - list:ChargeDetail
"""

ORDER = """
StartChargeSeq      R str=27
ConnectorID         R str:26
StartTime           R time
EndTime             R time
TotalPower          R dec:{energy}
TotalElecMoney      R dec:2
TotalSeviceMoney    R dec:2
TotalMoney          R dec:2
StopReason          R int
SumPeriod           - int
ChargeDetails       - list:ChargeDetail
PlateNum            - str:20
Vin                 - str:17
StartSOC            - dec:2
EndSOC              - dec:2
MeterValueStart     - dec:4
MeterValueEnd       - dec:4
"""

PUSHES: Mapping[str, str] = {
    "notification_stationStatus": "ConnectorStatusInfo R obj:ConnectorStatusInfo",
    "notification_start_charge_result": """
        StartChargeSeq      R str=27
        StartChargeSeqStat  R int:1,2,3,4,5
        ConnectorID         R str:26
        StartTime           R time
        IdentCode           - str:64
    """,
    "notification_equip_charge_status": CHARGE_STATUS,
    "notification_stop_charge_result": """
        StartChargeSeq      R str=27
        StartChargeSeqStat  R int:1,2,3,4,5
        ConnectorID         R str:26
        SuccStat            R int:0,1
        FailReason          R int
    """,
    "notification_charge_order_info": ORDER,
    "check_charge_orders": """
        CheckOrderSeq       R str=27
        StartTime           R time
        EndTime             R time
        OrderCount          R int
        TotalOrderPower     R dec:4
        TotalOrderMoney     R dec:2
        ChargeOrders        R list:CheckedOrder
    """,
}
"""What the hub sends us, by interface."""

ANSWERS: Mapping[str, str] = {
    "query_token": """
        OperatorID          R str=9
        SuccStat            R int:0,1
        AccessToken         R str:2048
        TokenAvailableTime  R int
        FailReason          R int
    """,
    "query_stations_info": """
        PageNo              R int
        PageCount           R int
        ItemSize            R int
        StationInfos        R list:StationInfo
    """,
    "query_station_status": """
        Total               - int
        StationStatusInfos  R list:StationStatusInfo
    """,
    "query_equip_auth": """
        EquipAuthSeq        R str=27
        ConnectorID         R str:26
        SuccStat            R int:0,1
        FailReason          R int
        FailReasonMsg       - str:255
        OperatorID          - str=9
    """,
    "query_equip_business_policy": """
        EquipBizSeq         R str=27
        ConnectorID         R str:26
        SuccStat            R int:0,1
        FailReason          R int
        SumPeriod           R int
        PolicyInfos         R list:PolicyInfo
    """,
    "query_start_charge": """
        StartChargeSeq      R str=27
        StartChargeSeqStat  R int:1,2,3,4,5
        ConnectorID         R str:26
        SuccStat            R int:0,1
        FailReason          R int
        FailReasonMsg       - str:255
    """,
    "query_stop_charge": """
        StartChargeSeq      R str=27
        StartChargeSeqStat  R int:1,2,3,4,5
        SuccStat            R int:0,1
        FailReason          R int
        FailReasonMsg       - str:255
        ConnectorID         - str:26
    """,
    "query_equip_charge_status": CHARGE_STATUS,
}
"""What the hub answers us, by interface."""

OBJECTS: Mapping[str, str] = {
    "ConnectorStatusInfo": """
        ConnectorID         R str:26
        Status              R int:0,1,2,3,4,255
        ParkStatus          - int:0,10,50
        LockStatus          - int:0,10,50
    """,
    "ChargeDetail": DETAIL,
    "CheckedOrder": """
        StartChargeSeq      R str=27
        TotalPower          R dec:2
        TotalMoney          R dec:2
    """,
    "StationStatusInfo": """
        StationID           R str:20
        ConnectorStatusInfos R list:ConnectorStatusInfo
    """,
    "PolicyInfo": """
        StartTime           R hms
        ElecPrice           R dec:4
        SevicePrice         R dec:4
    """,
    "StationInfo": """
        StationID           R str:20
        OperatorID          R str=9
        EquipmentOwnerID    R str=9
        StationName         R str:50
        CountryCode         R str=2
        AreaCode            R str:20
        Address             R str:50
        StationTel          - str:30
        ServiceTel          R str:30
        StationType         R int:1,50,100,101,102,103,255
        StationStatus       R int:0,1,5,6,50
        ParkNums            R int
        StationLng          R dec:6
        StationLat          R dec:6
        SiteGuide           - str:100
        Construction        R int:1,2,3,4,5,6,7,8,9,10,11,255
        Pictures            - strs
        MatchCars           - str:100
        ParkInfo            - str:100
        BusineHours         - str:100
        ElectricityFee      - str:256
        ServiceFee          - str:100
        ParkFee             - str:100
        Payment             - str:20
        SupportOrder        - int:0,1
        Remark              - str:100
        EquipmentInfos      R list:EquipmentInfo
    """,
    "EquipmentInfo": """
        EquipmentID         R str:23
        ManufacturerID      - str=9
        ManufacturerName    - str:30
        EquipmentModel      - str:20
        ProductionDate      - date
        EquipmentType       R int:1,2,3,4,5
        ConnectorInfos      R list:ConnectorInfo
        EquipmentLng        - dec:6
        EquipmentLat        - dec:6
        Power               R dec:1
        EquipmentName       - str:30
    """,
    "ConnectorInfo": """
        ConnectorID         R str:26
        ConnectorName       - str:30
        ConnectorType       R int:1,2,3,4,5,6
        VoltageUpperLimits  R int
        VoltageLowerLimits  R int
        Current             R int
        Power               R dec:1
        ParkNo              - str:10
        NationalStandard    R int:1,2
    """,
}


def partner_checker(service_spelling: str, energy_decimals: int) -> Checker:
    """The checker for this platform's spelling of the service fee (clause 14.3) and scale of energy (clause 9.3)."""

    def built(text: str) -> Table:
        return respelled(table(text.replace("{energy}", str(energy_decimals))), "Sevice", service_spelling)

    return Checker({name: built(text) for name, text in {**OBJECTS, **PUSHES, **_answers()}.items()})


def answer_table(interface: str) -> str | None:
    """The name of the table for the hub's answer to `interface`, if there is one."""
    return f"answer:{interface}" if interface in ANSWERS else None


def _answers() -> dict[str, str]:
    return {f"answer:{name}": text for name, text in ANSWERS.items()}
