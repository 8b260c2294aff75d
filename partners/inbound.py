"""What partners ask and tell us: the served interfaces of T/CEC 102, as operator of piles over the services of the core, as the customer's
side over `roaming`. Which of them a link may call follows from its role (`roles`).

Every handler does one read or one transaction in the tenant of its link, and renders its answer by the link's profile. A business
refusal is Ret 0 with SuccStat 1, as the standard has it; only what has no such form is a `BusinessError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from charging_core.db import Database
from charging_core.orders.ports import OrderContext
from partners.asking import Asked
from partners.inbound_charging import (
    query_equip_auth,
    query_equip_business_policy,
    query_equip_charge_status,
    query_start_charge,
    query_stop_charge,
)
from partners.inbound_stations import StationBodies, StationStatuses, query_station_status, query_stations_info
from partners.links import LinkBook
from partners.roaming.inbound import HANDLERS as ROAMING_HANDLERS
from partners.statistics import query_station_stats
from partners.tcec102.contract import Contract
from partners.tcec102.errors import Busy
from partners.tcec102.ports import Handler, InboundLink

Answer = Mapping[str, Any]


def inbound_handlers(db: Database, context: OrderContext, book: LinkBook, contract: Contract) -> dict[str, Handler]:
    """The table of handlers for the protocol's door (`query_token` is answered by the door itself)."""
    bodies, statuses = StationBodies(contract), StationStatuses(contract)

    def bound(answer: Callable[[Asked], Answer]) -> Handler:
        def handler(inbound: InboundLink, body: dict[str, Any]) -> Answer:
            link = book.get(inbound.link_id)
            if link is None:  # removed between the check at the door and now
                raise Busy
            return answer(Asked(db, context, link, body))

        return handler

    return {
        "query_stations_info": bound(lambda asked: query_stations_info(asked, bodies)),
        "query_station_status": bound(lambda asked: query_station_status(asked, statuses)),
        "query_station_stats": bound(query_station_stats),
        "query_equip_auth": bound(query_equip_auth),
        "query_equip_business_policy": bound(query_equip_business_policy),
        "query_start_charge": bound(query_start_charge),
        "query_equip_charge_status": bound(query_equip_charge_status),
        "query_stop_charge": bound(query_stop_charge),
        **{name: bound(answer) for name, answer in ROAMING_HANDLERS.items()},
    }
