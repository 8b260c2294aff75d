"""The regulator's books: what is known of every station, connector and order, and whether the pushes about it agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from municipal.fake.config import RegulatorConfig
from municipal.fake.timeliness import charge_status_timing, power_timing
from partners.fake.bills import BillNames, bill_faults
from partners.fake.platform import Finding, Judgement

NAMES = BillNames(
    total_energy="TotalElect",
    total_service="TotalServiceMoney",
    service_price="ServicePrice",
    detail_service="DetailServiceMoney",
    energy_decimals=4,
)
"""This platform spells the service fee correctly and takes four decimals of energy (digest section 4)."""

PLACE_KEYS = ("OperatorID", "EquipmentOwnerID", "StationID", "EquipmentID", "ConnectorID")
BANDS = ("CuspElect", "PeakElect", "FlatElect", "ValleyElect")
FINAL = frozenset({4, 6, 7})
"""OrderStatus finished, ended abnormally, start failed: nothing follows."""

POWER_TOLERANCE = Decimal("0.001")
"""kW by which a sum of powers may differ for every part of it: each part was rounded."""

Body = Mapping[str, Any]


@dataclass
class Page:
    """What the books know about one order."""

    order_no: str
    place: tuple[str, ...]
    status: int = 1
    samples: list[dict[str, Any]] = field(default_factory=list)
    order: dict[str, Any] | None = None
    confirm_result: int | None = None
    repeats: int = 0

    def as_json(self) -> dict[str, Any]:
        """The page for the control interface."""
        return {**vars(self), "place": dict(zip(PLACE_KEYS, self.place, strict=True)), "samples": len(self.samples)}


class RegulatorBooks:
    """Everything that was accepted. The caller holds a lock around every method."""

    def __init__(self, config: RegulatorConfig) -> None:
        self._config = config
        self.stations: dict[str, dict[str, Any]] = {}
        self.connectors: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, Page] = {}
        self.power: dict[str, dict[str, Any]] = {}

    def clear(self) -> None:
        """Empty books."""
        for shelf in (self.stations, self.connectors, self.pages, self.power):
            shelf.clear()

    # -- one method per push -----------------------------------------------------------------------------------------

    def station_info(self, body: dict[str, Any], forced: int | None) -> Judgement:
        """Newest wins."""
        findings = self._operator(body, body["StationID"])
        self.stations[body["StationID"]] = body
        return Judgement({"Status": forced or 0}, findings=findings)

    def connector_status(self, body: dict[str, Any], forced: int | None) -> Judgement:
        """Only changes may be pushed, in order of time; an identical re-send is worth a note."""
        connector = body["ConnectorID"]
        before = self.connectors.get(connector)
        findings = self._operator(body, connector)
        if before == body:
            findings.append(Finding("note", "repeated_status", connector, "same content again"))
        elif before:
            findings += _status_change(before, body)
        if not before or body["UpdateTime"] >= before["UpdateTime"]:
            self.connectors[connector] = body
        return Judgement({"Status": forced or 0}, findings=findings)

    def charge_status(self, body: dict[str, Any], forced: int | None) -> Judgement:
        """State and energy never go back; the timing is scored apart."""
        page, findings = self._page(body)
        overtaken = bool(page.samples) and body["EndTime"] <= page.samples[-1]["EndTime"]
        if overtaken:
            findings.append(Finding("note", "overtaken_sample", page.order_no, f"sample of {body['EndTime']}"))
        else:
            findings += list(_sample_order(page, body))
            findings += charge_status_timing(self._config, [*page.samples[-1:], body])
            page.status = body["OrderStatus"] if page.status not in FINAL else page.status
            page.samples.append(body)
        return Judgement({"Status": forced or 0}, findings=findings)

    def order(self, body: dict[str, Any], forced: int | None) -> Judgement:
        """ConfirmResult 0 when everything adds up, 1 when not; a booked order may be answered with `duplicate_ret`."""
        page, findings = self._page(body)
        if page.order is not None and page.confirm_result == 0:
            return self._again(page, body, findings, forced)
        findings += [Finding("violation", fault.code, page.order_no, fault.text) for fault in bill_faults(body, NAMES)]
        findings += list(_order_faults(body))
        disputed = any(finding.level == "violation" for finding in findings)
        page.order, page.confirm_result = body, (1 if disputed else 0) if forced is None else forced
        return Judgement({"OrderNo": page.order_no, "ConfirmResult": page.confirm_result}, findings=findings)

    def realtime_power(self, body: dict[str, Any], forced: int | None) -> Judgement:
        """All stations in one call, every connector told, parts giving the sums."""
        findings: list[Finding] = []
        infos = body["SupStationPowerInfos"]
        for info in infos:
            findings += self._operator(info, info["StationID"])
            findings += list(_power_sums(info)) + list(self._untold(info)) + power_timing(self._config, info)
            self.power[info["StationID"]] = info
        for missing in sorted(self.stations.keys() - {info["StationID"] for info in infos}):
            findings.append(Finding("violation", "missing_station", missing, "all stations belong into one call"))
        return Judgement({"Status": forced or 0}, findings=findings)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _operator(self, body: Body, subject: str) -> list[Finding]:
        if body["OperatorID"] == self._config.hub_operator_id:
            return []
        text = f"OperatorID {body['OperatorID']} in the body, {self._config.hub_operator_id} registered"
        return [Finding("violation", "foreign_operator", subject, text)]

    def _page(self, body: Body) -> tuple[Page, list[Finding]]:
        order_no, place = body["OrderNo"], tuple(body[key] for key in PLACE_KEYS)
        findings = self._operator(body, order_no)
        page = self.pages.setdefault(order_no, Page(order_no, place))
        if page.place != place:
            findings.append(Finding("violation", "moved_order", order_no, f"first at {page.place}, now at {place}"))
        return page, findings

    def _again(self, page: Page, body: dict[str, Any], findings: list[Finding], forced: int | None) -> Judgement:
        page.repeats += 1
        same = page.order is not None and page.order | {"PushTime": ""} == body | {"PushTime": ""}
        if not same:
            text = "confirmed before with other content"
            findings.append(Finding("violation", "changed_order", page.order_no, text))
        else:
            findings.append(Finding("note", "repeated_order", page.order_no, "same content again"))
        if same and self._config.duplicate_ret is not None:
            return Judgement(None, self._config.duplicate_ret, "订单已存在 order exists", findings)
        result = (0 if same else 1) if forced is None else forced
        return Judgement({"OrderNo": page.order_no, "ConfirmResult": result}, findings=findings)

    def _untold(self, info: Body) -> Iterator[Finding]:
        station = self.stations.get(info["StationID"], {})
        known = {
            connector["ConnectorID"]
            for equipment in station.get("EquipmentInfos", [])
            for connector in equipment["ConnectorInfos"]
        }
        told = {row["ConnectorID"] for part in info["EquipmentPowerInfos"] for row in part["ConnectorPowerInfos"]}
        for missing in sorted(known - told):
            yield Finding("violation", "missing_connector", missing, "idle connectors are sent with 0")


def _status_change(before: Body, body: Body) -> Iterator[Finding]:
    connector = body["ConnectorID"]
    if before["Status"] == body["Status"]:
        text = f"Status {body['Status']} at {before['UpdateTime']} and again at {body['UpdateTime']}"
        yield Finding("violation", "unchanged_status", connector, text)
    if body["UpdateTime"] < before["UpdateTime"]:
        text = f"UpdateTime {body['UpdateTime']} after {before['UpdateTime']}"
        yield Finding("violation", "status_out_of_order", connector, text)


def _sample_order(page: Page, body: Body) -> Iterator[Finding]:
    if page.status in FINAL and body["OrderStatus"] != page.status:
        text = f"OrderStatus {body['OrderStatus']} after {page.status}"
        yield Finding("violation", "state_backwards", page.order_no, text)
    if page.samples and Decimal(body["TotalPower"]) < Decimal(page.samples[-1]["TotalPower"]):
        text = f"{body['TotalPower']} kWh after {page.samples[-1]['TotalPower']}"
        yield Finding("violation", "energy_backwards", page.order_no, text)
    if not 0 <= Decimal(body["SOC"]) <= 100:
        yield Finding("violation", "soc_range", page.order_no, f"SOC {body['SOC']}")


def _order_faults(body: Body) -> Iterator[Finding]:
    order_no, total = body["OrderNo"], Decimal(body["TotalElect"])
    bands = sum((Decimal(body.get(band) or 0) for band in BANDS), Decimal(0))
    if bands > total:
        yield Finding("violation", "band_sum", order_no, f"bands give {bands} kWh, TotalElect is {total}")
    for detail in body.get("ChargeDetails") or []:
        if detail["OrderNo"] != order_no:
            yield Finding("violation", "detail_order_no", order_no, f"a detail of order {detail['OrderNo']}")


def _power_sums(info: Body) -> Iterator[Finding]:
    equipment = info["EquipmentPowerInfos"]
    yield from _power_sum(info["StationID"], info["StationRealTimePower"], [e["EquipRealTimePower"] for e in equipment])
    for part in equipment:
        rows = [row["ConnectorRealTimePower"] for row in part["ConnectorPowerInfos"]]
        yield from _power_sum(part["EquipmentID"], part["EquipRealTimePower"], rows)


def _power_sum(subject: str, whole: Any, parts: list[Any]) -> Iterator[Finding]:
    summed = sum((Decimal(part) for part in parts), Decimal(0))
    if abs(Decimal(whole) - summed) > POWER_TOLERANCE * len(parts):
        yield Finding("violation", "power_sum", subject, f"{whole} kW, but its parts give {summed}")
