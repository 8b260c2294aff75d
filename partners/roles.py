"""What we are on a link, and what the other side may therefore call (`specs/tcec102.md` 1, 11.0)."""

from __future__ import annotations

from enum import StrEnum

CPO_INTERFACES = frozenset(
    {
        "query_stations_info",
        "query_station_status",
        "query_station_stats",
        "query_equip_auth",
        "query_equip_business_policy",
        "query_start_charge",
        "query_equip_charge_status",
        "query_stop_charge",
    }
)
"""What the infrastructure operator implements (`specs/tcec102.md` 11.0)."""
MSP_INTERFACES = frozenset(
    {
        "notification_stationStatus",
        "notification_start_charge_result",
        "notification_equip_charge_status",
        "notification_stop_charge_result",
        "notification_charge_order_info",
        "check_charge_orders",
        "notification_stationInfo",
        "notification_stationFee",
    }
)
"""What the customer's side implements, the dialects of 11.15 included."""


class Role(StrEnum):
    """What we are on a link: the operator of the piles, the one whose drivers charge there, or each for the other."""

    CPO = "cpo"
    MSP = "msp"
    BOTH = "both"

    @property
    def sells(self) -> bool:
        """Our stations are offered on it."""
        return self is not Role.MSP

    @property
    def buys(self) -> bool:
        """Our drivers charge at the partner's stations."""
        return self is not Role.CPO


def served_interfaces(role: Role) -> frozenset[str]:
    """What the other side may call in our role; anything else is 4004."""
    as_cpo = CPO_INTERFACES if role.sells else frozenset()
    as_msp = MSP_INTERFACES if role.buys else frozenset()
    return frozenset({"query_token"}) | as_cpo | as_msp
