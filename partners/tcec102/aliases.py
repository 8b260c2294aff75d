"""Other spellings of members that are met in the field (``specs/partners.md`` section 5; traps 1 and 14.3 of the digest).

Keyed by the standard's spelling. The table is applied only where a contract schema has the standard member, so it cannot
touch an unrelated member elsewhere. Spellings that partners use *beside* the standard one with another value
(``OutStartChargeSeq``, ``OrderNo``) are not aliases; a profile may add such pairs as ``extra_aliases``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Balance": ("chargingAmt", "ChargeMoney", "PreAmount"),
        "BusineHours": ("BusinessHours", "BusinetHours"),
        "ConnectorStatusInfo": ("ConnectorStatusInfos",),
        "DetailSeviceMoney": ("DetailServiceMoney",),
        "ElecMoney": ("ElectMoney",),
        "ManufacturerID": ("ManufacturingID",),
        "OperatorID": ("OperatorId", "operatorID", "OperationID"),
        "PhoneNum": ("PhoneNumber", "Mobile", "UserTel", "Phone"),
        "PlateNum": ("PlateNumber", "PlateNo", "plateNo", "CarNumber", "CarNo", "LicensePlate"),
        "QRCode": ("QrCode",),
        "SeviceMoney": ("ServiceMoney",),
        "SevicePrice": ("ServicePrice",),
        "Soc": ("SOC",),
        "StartChargeSeqStat": ("StartChargeSeqSta",),
        "StartTime": ("StarTime",),
        "SumPeriod": ("SubPeriod",),
        "TotalOrderMoney": ("TotalMoney",),
        "TotalOrderPower": ("TotalPower",),
        "TotalSeviceMoney": ("TotalServiceMoney", "TotalSvcMoney"),
        "UserID": ("OutUserId", "UserId"),
    }
)
"""Standard spelling → spellings accepted instead of it."""
