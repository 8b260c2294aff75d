"""The story of the demo, act by act. Every act waits for a condition that somebody else makes true, and fails in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import select

from charging_core.clock import CHINA, Clock, write_clock_file
from charging_core.db import Database
from charging_core.orders.model import ChargeOrder
from charging_core.orders.state import OrderState
from charging_core.stations.model import Connector, ConnectorState
from hub.demo.cast import PLATE, TENANT, Cast
from hub.demo.evidence import Evidence

CHARGE_MINUTES = 40
SLOW, FAST, NORMAL = 6.0, 120.0, 1.0
"""Hand-shakes run slowly, since deadlines of seconds must not be missed by a busy machine; the charge itself runs fast."""
PATIENCE_S = 30.0
"""Real seconds that a party may take before its act counts as failed, unless the caller says otherwise."""
_LOOK_S = 0.05
FIRST_CONNECTOR = 1


class ActFailed(Exception):
    """Raised when an act's condition does not become true in time; says which and what was seen last."""


class Screen(Protocol):
    """Where progress is shown."""

    def act(self, text: str) -> None:
        """A new act begins."""
        ...  # pragma: no cover

    def done(self, text: str) -> None:
        """The act ended well."""
        ...  # pragma: no cover

    def progress(self, order: ChargeOrder, now: datetime) -> None:
        """The running charge."""
        ...  # pragma: no cover


def start_time(now: datetime) -> datetime:
    """08:38 China time of the day: forty minutes from here cross the tariff border at 09:00."""
    return now.astimezone(CHINA).replace(hour=8, minute=38, second=0, microsecond=0)


@dataclass
class Story:
    """One charge: a car enters, a partner starts it, the pile charges, everybody is told, the gate opens."""

    cast: Cast
    db: Database
    clock: Clock
    pile_code: str
    screen: Screen
    patience_s: float = PATIENCE_S
    start_charge_seq: str = field(default="", init=False)

    @property
    def connector(self) -> str:
        """The connector of the story."""
        return f"{self.pile_code}{FIRST_CONNECTOR:02d}"

    @property
    def evidence(self) -> Evidence:
        """What the others logged."""
        return Evidence(self.cast.folder, self.start_charge_seq)

    def play(self) -> None:
        """All acts. Raises `ActFailed`."""
        self._arrive()
        self._start()
        self._charge()
        self._stop()
        self._settle()
        self._leave()
        self._set_speed(NORMAL)

    def _arrive(self) -> None:
        self.screen.act(f"车辆 {PLATE} 驶入并插枪 / the car enters and plugs in")
        self.cast.post("camera", "/control/passage", {"plate": PLATE, "direction": "entry"})
        plug = {"connector": FIRST_CONNECTOR, "soc": 22, "battery_kwh": 77, "power_kw": 60, "vin": "LDEMO000000000017"}
        self.cast.post("piles", f"/piles/{self.pile_code}/plug", plug)
        self._until("the connector reports a plug", lambda: self._connector_state() == ConnectorState.PLUGGED)
        self.screen.done("入场事件已入库, 桩上报已插枪 / passage stored, pile reports the plug (0x13)")

    def _start(self) -> None:
        self.screen.act("伙伴平台查询并启动充电 / the partner queries and starts the charge")
        told = self.cast.post("partner", "/control/charge", {"connector_id": self.connector, "plate": PLATE})
        if not told["ok"]:
            raise ActFailed(f"伙伴启动失败 / the partner could not start: {told['failed']}")
        self.start_charge_seq = told["start_charge_seq"]
        self._until("the pile is charging", lambda: self._state() == OrderState.CHARGING)
        self.screen.done(f"{len(told['steps'])} 次 T/CEC 102 调用, 订单 {self.start_charge_seq} 充电中 / charging")

    def _charge(self) -> None:
        self.screen.act(
            f"充电 {CHARGE_MINUTES} 分钟, 跨越 09:00 电价分界 / {CHARGE_MINUTES} minutes over the 09:00 tariff border"
        )
        ends_at = self.clock.now() + timedelta(minutes=CHARGE_MINUTES)
        self._set_speed(FAST)
        self._until("the charge has lasted its time", lambda: self._watch() >= ends_at, CHARGE_MINUTES)
        self._set_speed(SLOW)
        self.screen.done("采样、状态推送持续进行 / samples and status pushes went on all the time")

    def _stop(self) -> None:
        self.screen.act("伙伴平台停止充电 / the partner stops the charge")
        self.cast.post("partner", "/control/stop", {"start_charge_seq": self.start_charge_seq})
        self._until("the order is settled", lambda: self._state() == OrderState.SETTLED)
        self.screen.done("交易记录落盘后确认 (0x3B→0x40), 订单已结算 / record on disk, then acknowledged; settled")

    def _settle(self) -> None:
        self.screen.act("账单推送给伙伴与监管, 车场发放减免 / the bill goes to partner and regulator, the park grants")
        self._until("the partner confirmed the order", lambda: self.evidence.partner_order() is not None)
        self._until("the regulator confirmed the order", lambda: self.evidence.regulator_order() is not None)
        self._until("the partner got the stop result", lambda: self.evidence.stop_result() is not None)
        self._until("the car park granted the coupon", lambda: self.evidence.coupon() is not None)
        self.screen.done("ConfirmResult 0 ×2, 停车券已发放 / coupon granted")

    def _leave(self) -> None:
        self.screen.act(f"车辆 {PLATE} 驶离, 道闸抬杆 / the car leaves, the gate opens")
        self.cast.post("piles", f"/piles/{self.pile_code}/unplug", {"connector": FIRST_CONNECTOR})
        self._until("the connector is free", lambda: self._connector_state() == ConnectorState.IDLE)
        self.cast.post("camera", "/control/passage", {"plate": PLATE, "direction": "exit"})
        self._until("the gate opened", lambda: self.evidence.gate() is not None)
        self._until("everybody confirmed", lambda: not self.evidence.missing())
        self.screen.done("ISAPI 开闸成功 / opened through ISAPI with Digest")

    def _set_speed(self, rate: float) -> None:
        write_clock_file(self.cast.folder.clock_file, self.clock.now(), rate)

    def _watch(self) -> datetime:
        order = self._order()
        now = self.clock.now()
        if order is not None:
            self.screen.progress(order, now)
        return now

    def _state(self) -> str | None:
        order = self._order()
        if order is not None and order.state == OrderState.FAILED:
            raise ActFailed(f"订单启动失败 / the order failed: {order.failure}")
        return order.state if order else None

    def _order(self) -> ChargeOrder | None:
        with self.db.read(TENANT) as session:
            query = select(ChargeOrder).where(ChargeOrder.start_charge_seq == self.start_charge_seq)
            return session.scalars(query).one_or_none()

    def _connector_state(self) -> str | None:
        with self.db.read(TENANT) as session:
            return session.scalars(select(Connector.state).where(Connector.code == self.connector)).one_or_none()

    def _until(self, wanted: str, holds: Callable[[], bool], more_s: float = 0) -> None:
        seconds = self.patience_s + more_s
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                missing = ", ".join(self.evidence.missing()) if self.start_charge_seq else ""
                raise ActFailed(f"{seconds:.0f} 秒内未见 / not seen in time: {wanted}. {missing}")
            time.sleep(_LOOK_S)
