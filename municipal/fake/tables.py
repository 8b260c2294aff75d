"""The members of the five pushes of the province dialect (digest section 4); `any` where no type was published."""

from __future__ import annotations

from collections.abc import Mapping

from partners.fake.fields import Checker, table

STATION_KEYS = """
OperatorID              R str=9
EquipmentOwnerID        R str=9
StationID               R str:20
"""

FIVE_KEYS = (
    STATION_KEYS
    + """
EquipmentID             R str:23
ConnectorID             R str:26
"""
)

TABLES: Mapping[str, str] = {
    "connector_status": FIVE_KEYS
    + """
Status                  R int:0,1,2,3,4,255
ParkStatus              - int:0,10,50
UpdateTime              R time
""",
    "charge_status": FIVE_KEYS
    + """
OrderNo                 R str:64
LicensePlate            - str:20
VIN                     - str:17
OrderStatus             R int:1,2,3,4,5,6,7
PushTimeStamp           R time
ConnectorStatus         R int:1,2,3,4,255
CurrentA                R dec:1
CurrentB                - dec:1
CurrentC                - dec:1
VoltageA                R dec:1
VoltageB                - dec:1
VoltageC                - dec:1
SOC                     R dec:4
StartTime               R time
EndTime                 R time
TotalPower              R dec:4
ElecMoney               - dec:4
ServiceMoney            - dec:4
TotalMoney              - dec:4
SumPeriod               - int
ChargeDetails           - list:ChargeDetail
eventTime               R time
bclNeedVoltage          - int
bclNeedCurrent          - int
chargeVoltage           R int
chargeCurrent           R int
bcsCellMaxVoltage       - int
bsmMaxTemperature       - int
bsmMinTemperature       - int
""",
    "order": FIVE_KEYS
    + """
OrderNo                 R str:64
LicensePlate            - str:20
VIN                     - str:17
Phone                   - str:20
TotalMoney              R dec:4
TotalElecMoney          R dec:4
TotalServiceMoney       R dec:4
TotalElect              R dec:4
CuspElect               - dec:4
PeakElect               - dec:4
FlatElect               - dec:4
ValleyElect             - dec:4
StartTime               R time
EndTime                 R time
PaymentAmount           - dec:4
PayTime                 - time
PayChannel              R int:1,2,3,4,5,6
DiscountInfo            - str:255
StopReason              R str:10
StopDesc                - str:255
SumPeriod               - int
ChargeDetails           - list:ChargeDetail
PushTime                R time
""",
    "ChargeDetail": """
OrderNo                 R str:64
DetailStartTime         R time
DetailEndTime           R time
ElecPrice               - dec:4
ServicePrice            - dec:4
DetailPower             R dec:4
DetailElecMoney         - dec:4
DetailServiceMoney      - dec:4
""",
    "realtime_power": """
SupStationPowerInfos    R list:StationPower
""",
    "StationPower": STATION_KEYS
    + """
DataTime                R time
StationRealTimePower    R dec:4
EquipmentPowerInfos     R list:EquipmentPower
""",
    "EquipmentPower": """
EquipmentID             R str:23
DataTime                R time
EquipRealTimePower      R dec:4
ConnectorPowerInfos     R list:ConnectorPower
""",
    "ConnectorPower": """
ConnectorID             R str:26
DataTime                R time
ConnectorRealTimePower  R dec:4
""",
    "station_info": STATION_KEYS
    + """
StationName             R str:50
CountryCode             R str=2
AreaCode                R str:20
Address                 R str:50
StationTel              - str:30
ServiceTel              R str:30
StationType             R int:1,50,100,101,102,103,104,105,106,255
StationStatus           R int:0,1,5,6,50
ParkNums                R int
StationLng              R dec:6
StationLat              R dec:6
SiteGuide               - str:100
Construction            R int:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,255
Pictures                - strs
MatchCars               - str:100
ParkInfo                - str:100
BusineHours             - str:100
ElectricityFee          - str:256
ServiceFee              - str:100
ParkFee                 - str:100
Payment                 - str:20
SupportOrder            - int:0,1
Remark                  - str:100
EquipmentInfos          R list:Equipment
StationUniqueID         - str:64
AreaCodeCountryside     - str=12
StationClassification   - int:1,3
ParkOwner               - any
ParkManager             - any
Is24Hour                - any
PeriodFee               - any
PolicyInfos             - list:Policy
ParkType                - int:0,1,2,3,255
ParkReductionMode       - ints
IdleFeeFlag             - int:0,1,2
IdleFeeInfos            - list:IdleFee
ElectricityType         - int:1,2,3,4
BusinessExpandType      - int:0,1
ElectricityAccountID    - any
RatedVoltage            - any
Capacity                - any
RatedPower              - any
SubstationDistance      - any
OfficialRunTime         - any
StationOrientation      - int:1,2,3,4
StationArea             - any
HavePerson              - any
VideoMonitor            - any
SupportingFacilities    - ints
PrinterFlag             - any
BarrierFlag             - any
ParkingLockFlag         - any
InvestmentProjectCode   - any
""",
    "Equipment": """
EquipmentID             R str:23
EquipmentUniqueID       - str:64
ManufacturerID          - str=9
ManufacturerName        - str:30
EquipmentManufacturerNumber - any
EquipmentModel          - str:20
ProductionDate          - date
EquipmentType           R int:1,2,3,4,5,6,7
ConnectorInfos          R list:Connector
EquipmentLng            - dec:6
EquipmentLat            - dec:6
Power                   R dec:1
EquipmentName           - str:30
""",
    "Connector": """
ConnectorID             R str:26
ConnectorUniqueID       - str=28
ConnectorName           - str:30
ConnectorType           R int:1,2,3,4,5,6
VoltageUpperLimits      R int
VoltageLowerLimits      R int
Current                 R int
Power                   R dec:1
ParkNo                  - str:10
NationalStandard        R int:1,2,3,4
QrCodes                 - strs
ConstantVoltageUpperLimits - any
ConstantVoltageLowerLimits - any
ConstantCurrentUpperLimits - any
ConstantCurrentLowerLimits - any
AuxPower                - int:1,2,3
OperateStatus           - int:0,1,5,6,50
OperateHours            - any
""",
    "Policy": """
StartTime               R hms
EndTime                 R hms
ChargingType            - int:1,2,3,5,6,9
ElecFee                 R dec:4
ServiceFee              R dec:4
StartDate               - date
EndDate                 - date
""",
    "IdleFee": """
StartTime               R hms
EndTime                 R hms
IdleFee                 - any
FullIdleFee             - any
MaxFee                  - any
FreeTime                - any
StartDate               - date
EndDate                 - date
""",
}


def province_checker() -> Checker:
    """The checker for all five pushes; its tables are named by kind."""
    return Checker({name: table(text) for name, text in TABLES.items()})
