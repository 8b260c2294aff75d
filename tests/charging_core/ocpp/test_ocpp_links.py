"""Who is let in, what is answered, and what the staff can ask of an OCPP pile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import Conflict, InvalidInput
from charging_core.piles.errors import PortUnavailable
from charging_core.piles.ports import CommandKind
from charging_core.piles.protocols.ocpp16 import connection
from charging_core.piles.protocols.ocpp16.access import save_access
from charging_core.piles.protocols.ocpp16.model import OcppAccess
from charging_core.piles.protocols.ocpp16.server import OcppListener
from charging_core.piles.server import PileServer
from charging_core.piles.store.device import Request
from charging_core.piles.store.tariff_sweep import sweep_tariffs
from charging_core.simulator.ocpp_pile import OcppPile
from charging_core.stations.model import Pile, RefusedLogin
from tests.charging_core.ocpp.ocpp_support import Yard


def refused(yard: Yard) -> list[tuple[str, str, str]]:
    with yard.db.read_system("test") as session:
        rows = session.scalars(select(RefusedLogin).order_by(RefusedLogin.id)).all()
        return [(row.pile_code, row.reason, row.protocol) for row in rows]


def knock(yard: Yard, path: str, subprotocols: list[str], authorization: str | None = None) -> int:
    """The HTTP status with which a handshake is refused; 101 when it is not."""

    async def tried() -> int:
        headers = {} if authorization is None else {"Authorization": authorization}
        try:
            async with connect(
                f"{yard.url}{path}",
                subprotocols=subprotocols,  # type: ignore[arg-type]
                additional_headers=headers,
                proxy=None,
            ):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    return yard.loop.wait(tried())


def test_a_pile_boots_and_is_told_how_to_work(yard: Yard) -> None:
    pile = yard.pile(plugged=False)
    stored = yard.stored_pile()
    assert (stored.online, stored.firmware, stored.confirmed_tariff_version_id) == (True, "1.0.0", None)
    assert [link.pile_code for link in yard.server.links()] == [yard.code]
    yard.until("it is configured", lambda: pile.configuration.get("StopTransactionOnInvalidId") == "true")
    assert pile.configuration["MeterValueSampleInterval"] == "15"
    yard.clock.advance(timedelta(hours=1))
    assert sweep_tariffs(yard.db, yard.clock, yard.commands) == 0, "it holds no tariff"
    yard.loop.wait(pile.go_offline())
    yard.until("it is off-line", lambda: yard.connector_state() == "offline")


def test_only_the_right_password_opens(yard: Yard) -> None:
    wrong = yard.pile(booted=False, password="wrong horse")
    yard.until("it is refused", lambda: wrong.refused is not None)
    assert "401" in str(wrong.refused)
    assert refused(yard)[0] == (yard.code, "password", "ocpp16 1.6")
    for authorization in (None, "Basic !!!", "Basic " + "e" * 9, "Bearer x", "Basic Og=="):
        assert knock(yard, f"/{yard.code}", ["ocpp1.6"], authorization) == 401
    assert not yard.stored_pile().online
    right = yard.pile(plugged=False)
    assert right.refused is None


def test_strangers_and_the_disabled_are_listed_and_stay_outside(yard: Yard) -> None:
    for path in ("/99999999999999", "/nobody%27s-own-charge-point", "/" + "x" * 49):
        assert knock(yard, path, ["ocpp1.6"]) == 404
    assert knock(yard, f"/{yard.code}", ["ocpp2.0.1"]) == knock(yard, f"/{yard.code}", []) == 400
    with yard.db.session(yard.seeded.tenant_id) as session:
        session.execute(update(Pile).values(enabled=False))
    pile = yard.pile(booted=False)
    yard.until("it is refused", lambda: pile.refused is not None)
    assert "403" in str(pile.refused)
    assert [(code, reason) for code, reason, _ in refused(yard)] == [
        ("99999999999999", "unknown"), ("nobody's-own-charge-point", "unknown"), (yard.code, "disabled"),
    ]  # fmt: skip


def test_a_pile_may_have_a_name_of_its_own_and_no_password(yard: Yard) -> None:
    with yard.db.session(yard.seeded.tenant_id) as session:
        assert [change.action for change in save_access(session, yard.box, yard.code, "CP-7/a", None)] == ["update"]
    assert knock(yard, f"/{yard.code}", ["ocpp1.6"]) == 404, "its code is not its name any more"
    yard.pile(identity="CP-7/a", password=None, plugged=False)
    with yard.db.session(yard.seeded.tenant_id) as session:
        assert save_access(session, yard.box, yard.code, "CP-7/a", None) == []
        changed = save_access(session, yard.box, yard.code, "CP-7/a", "another one")
        assert [(field.name, field.after) for field in changed[0].fields] == [("password", "changed")]
        assert "another" not in str(session.scalars(select(OcppAccess.secret)).one())
        with pytest.raises(Conflict):
            save_access(session, yard.box, "32010600019999", "CP-7/a", None)


def test_a_pile_that_is_declared_for_another_protocol_is_refused(yard: Yard) -> None:
    with yard.db.session(yard.seeded.tenant_id) as session:
        session.execute(update(Pile).values(protocol="ykc"))
    pile = yard.pile(booted=False)
    yard.until("it is refused", lambda: pile.refused is not None)
    assert refused(yard)[0][1] == "other_protocol"


def test_a_newer_connection_replaces_the_older_one(yard: Yard) -> None:
    yard.pile(plugged=False)
    first = yard.stored_pile().connection_id
    yard.pile(plugged=False, real_reconnect_s=60)
    yard.until("the newer one holds it", lambda: yard.stored_pile().connection_id != first)
    assert yard.stored_pile().online


def test_the_staff_can_ask_what_the_protocol_has(yard: Yard) -> None:
    pile = yard.pile(plugged=False)
    yard.until("it is configured", lambda: len(pile.configuration) == 5)
    code, connector = yard.code, yard.connector
    configure = CommandKind.CONFIGURE
    assert yard.ask(Request(configure, code, {"key": "LightIntensity", "value": "40"})) == ("acknowledged", "")
    assert yard.ask(Request(configure, code, {"key": "LightIntensity"})) == ("acknowledged", "LightIntensity=40")
    assert yard.ask(Request(configure, code, {"key": "NumberOfConnectors"}))[1].endswith("=2 (read-only)")
    assert yard.ask(Request(configure, code, {"key": "Unheard"})) == ("failed", "the pile does not know this key")
    assert yard.ask(Request(configure, code, {"key": "NumberOfConnectors", "value": "3"})) == ("failed", "Rejected")
    assert yard.ask(Request(CommandKind.UNLOCK, connector)) == ("acknowledged", "Unlocked")
    assert pile.unlocked == [1]
    assert yard.ask(Request(CommandKind.READ, connector))[0] == "acknowledged"
    assert yard.ask(Request(CommandKind.SYNC_TIME, code))[0] == "acknowledged"
    out_of_service = Request(CommandKind.SET_WORK, code, {"out_of_service": True})
    assert yard.ask(out_of_service) == ("acknowledged", "")
    yard.until("it is out of service", lambda: yard.connector_state() == "offline")
    less = Request(CommandKind.SET_WORK, code, {"out_of_service": False, "max_power_percent": 50})
    assert yard.ask(less)[0] == "failed"
    assert yard.ask(Request(CommandKind.REBOOT, code, {"when_idle": False}))[0] == "acknowledged"
    yard.until("it restarts", lambda: pile.resets == ["Hard"])
    with pytest.raises(Conflict):
        yard.ask(Request(CommandKind.PUSH_TARIFF, code))
    with pytest.raises(InvalidInput):
        yard.ask(Request(configure, code, {"key": "x" * 51}))


def raw(yard: Yard, pile: OcppPile, *messages: list[Any]) -> list[Any]:
    """Send raw messages; what the hub answers to those whose ids begin with `raw`."""
    before = len(pile.log)
    for message in messages:
        yard.loop.wait(pile.link.raw(message))

    def got() -> list[Any]:
        return [items for way, items in pile.log[before:] if way == "in" and str(items[1]).startswith("raw")]

    yard.until("all are answered", lambda: len(got()) >= len(messages))
    return got()


def test_every_request_is_answered_also_the_strange_ones(yard: Yard) -> None:
    pile = yard.pile(plugged=False)
    told = raw(
        yard,
        pile,
        [2, "raw1", "DataTransfer", {"vendorId": "maker"}],
        [2, "raw2", "FirmwareStatusNotification", {"status": "Installed"}],
        [2, "raw3", "LaunchRocket", {}],
        [2, "raw4", "Authorize", {}],
        [2, "raw5", "StartTransaction", {"connectorId": 1, "meterStart": 0, "timestamp": "2026-03-02T00:00:00Z"}],
        [2, "raw6", "Heartbeat", None],
        [2, "raw7", "MeterValues", {"connectorId": 9, "meterValue": "nothing", "more": 1}],
        [2, "raw8", "StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Available"}],
    )
    kinds = [(items[0], items[2] if items[0] == 4 else None) for items in told]
    assert kinds[:5] == [
        (3, None), (3, None), (4, "NotImplemented"), (4, "FormationViolation"), (4, "OccurenceConstraintViolation"),
    ]  # fmt: skip
    assert [kind for kind, _ in kinds[5:]] == [3, 3, 3]
    assert told[0][2] == {"status": "UnknownVendorId"}
    assert told[5][2]["currentTime"] == "2026-03-02T00:00:00Z"


def test_nonsense_ends_the_connection_and_nothing_else(yard: Yard) -> None:
    pile = yard.pile(plugged=False)
    before = yard.stored_pile().connection_id

    async def babble() -> None:
        for _ in range(25):
            await pile.link.raw([7, "x", "y"])

    yard.loop.wait(babble())
    yard.until("it is a new one", lambda: yard.stored_pile().connection_id not in (None, before))
    assert yard.server.alive()


def test_one_request_at_a_time_and_a_dead_one_does_not_block_the_next(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pile never answers the first of two requests."""
    pile = yard.pile(plugged=False)
    yard.until("it is configured", lambda: len(pile.configuration) == 5)
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)
    yard.loop.do(lambda: setattr(pile, "silent", True))
    first = yard.add(Request(CommandKind.UNLOCK, yard.connector))
    second = yard.add(Request(CommandKind.SYNC_TIME, yard.code))
    yard.until("the first one is on the wire", lambda: asked(pile) == ["UnlockConnector"])
    yard.loop.do(lambda: setattr(pile, "silent", False))
    yard.until("the second is answered", lambda: yard.command(second).state == "acknowledged")
    assert asked(pile) == ["UnlockConnector", "TriggerMessage"]
    assert yard.command(first).state == "sent", "nobody knows what became of it: the desk gives it up in its time"


def asked(pile: OcppPile) -> list[str]:
    """What the hub has asked besides the configuration."""
    actions = [items[2] for way, items in pile.log if way == "in" and items[0] == 2]
    return [action for action in actions if action != "ChangeConfiguration"]


def test_a_busy_port_names_itself(db: Database, manual_clock: ManualClock, yard: Yard) -> None:
    port = yard.server.also_port or 0
    second = PileServer("127.0.0.1", 0, yard.ports, manual_clock, also=OcppListener("127.0.0.1", port, yard.book))
    with pytest.raises(PortUnavailable) as caught:
        second.start()
    assert (caught.value.port, caught.value.also) == (port, True)
