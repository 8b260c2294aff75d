"""What a partner is told of a connector that is kept for somebody: 占用 (预约锁定), and a reason of its own when it tries all the same."""

from __future__ import annotations

from charging_core.ids import new_id
from charging_core.orders.reservations.keeping import Holder
from charging_core.orders.reservations.service import Wish, reserve
from tests.partners.business.conftest import PARTNER, World

SEQ = f"{PARTNER}260302080000000001"
RESERVED_STATUS, RESERVED_REASON = 4, 6


def test_a_reserved_connector_is_told_as_reserved_and_refused_with_its_reason(world: World) -> None:
    world.link()
    wish = Wish(
        connector_code=world.connector, desk="app:green", request_id=new_id(), minutes=15, asked_by="token:app",
        payer=Holder(phone="13800000001"),
    )  # fmt: skip
    with world.db.session(world.tenant) as session:
        assert reserve(session, world.context, wish).reservation is not None
    (station,) = world.ask("query_station_status", {"StationIDs": ["S0001"]})["StationStatusInfos"]
    assert station["ConnectorStatusInfos"][0]["Status"] == RESERVED_STATUS
    allowed = world.ask("query_equip_auth", {"EquipAuthSeq": SEQ, "ConnectorID": world.connector})
    assert (allowed["SuccStat"], allowed["FailReason"]) == (1, RESERVED_REASON)
    started = world.ask("query_start_charge", {"StartChargeSeq": SEQ, "ConnectorID": world.connector, "QRCode": ""})
    assert (started["SuccStat"], started["FailReason"], started["StartChargeSeqStat"]) == (1, RESERVED_REASON, 4)
    world.deliver()
    (told,) = world.received("notification_stationStatus")
    assert told["ConnectorStatusInfo"]["Status"] == RESERVED_STATUS
