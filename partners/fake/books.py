"""The partner's own books: one page per StartChargeSeq, filled by the pushes; they decide what is confirmed and what disputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from partners.fake.bills import BillNames, bill_faults, foreign_prices
from partners.fake.platform import Finding, Judgement

ENDED = 4
"""StartChargeSeqStat of an order that is over: final (clause 12.3)."""

UNKNOWN = 5
"""StartChargeSeqStat that says nothing and moves nothing."""


@dataclass
class Page:
    """What the books know about one order."""

    start_charge_seq: str
    connector_id: str
    plate: str = ""
    policy: list[dict[str, Any]] = field(default_factory=list)
    stat: int = 1
    samples: int = 0
    last_sample_at: str = ""
    last_energy: Decimal = Decimal(0)
    order: dict[str, Any] | None = None
    confirm_result: int | None = None
    repeats: int = 0

    def as_json(self) -> dict[str, Any]:
        """The page for the control interface."""
        return {**vars(self), "policy": len(self.policy)}


class PartnerBooks:
    """All orders of the partner's customers. The caller holds a lock around every method."""

    def __init__(self, names: BillNames, *, accept_unknown: bool = False, check_policy: bool = True) -> None:
        self._names = names
        self._accept_unknown = accept_unknown
        self._check_policy = check_policy
        self.pages: dict[str, Page] = {}
        self.connector_status: dict[str, int] = {}

    def open_page(
        self, seq: str, connector_id: str, plate: str = "", policy: list[dict[str, Any]] | None = None
    ) -> Page:
        """Book an order before its start is asked for, since its first push may be faster than the answer."""
        return self.pages.setdefault(seq, Page(seq, connector_id, plate, policy or []))

    def clear(self) -> None:
        """Empty books."""
        self.pages.clear()
        self.connector_status.clear()

    # -- one method per push -----------------------------------------------------------------------------------------

    def station_status(self, body: dict[str, Any], forced: int | None = None) -> Judgement:
        """Newest wins; an unchanged value is worth a note."""
        status = body["ConnectorStatusInfo"]
        connector, value = status["ConnectorID"], status["Status"]
        findings = []
        if self.connector_status.get(connector) == value:
            findings.append(Finding("note", "unchanged_status", connector, f"Status {value} again"))
        self.connector_status[connector] = value
        return Judgement({"Status": forced or 0}, findings=findings)

    def start_result(self, body: dict[str, Any]) -> Judgement:
        """Answer SuccStat 0 for an order of ours, else 1 with FailReason 1."""
        page, findings = self._page(body)
        if page:
            findings += self._moved(page, body["StartChargeSeqStat"], overtaken=True)
        return Judgement(_received(body, page is not None, with_reason=True), findings=findings)

    def charge_status(self, body: dict[str, Any]) -> Judgement:
        """As the start result, and samples must follow each other: neither state nor energy goes back."""
        page, findings = self._page(body)
        if page:
            overtaken = body["EndTime"] <= page.last_sample_at
            findings += self._moved(page, body["StartChargeSeqStat"], overtaken=overtaken)
            findings += self._sampled(page, body, overtaken=overtaken)
        return Judgement(_received(body, page is not None, with_reason=False), findings=findings)

    def stop_result(self, body: dict[str, Any]) -> Judgement:
        """As the start result; a refused stop moves nothing."""
        page, findings = self._page(body)
        if page and body["SuccStat"] == 0:
            findings += self._moved(page, body["StartChargeSeqStat"], overtaken=False)
        return Judgement(_received(body, page is not None, with_reason=True), findings=findings)

    def order(self, body: dict[str, Any], forced: int | None = None) -> Judgement:
        """The message that moves money: ConfirmResult 0 when it adds up and is ours, 1 when not (clause 12.4)."""
        page, findings = self._page(body)
        findings += [
            Finding("violation", fault.code, body["StartChargeSeq"], fault.text)
            for fault in bill_faults(body, self._names)
        ]
        if page:
            findings += self._prices(page, body) + self._booked_before(page, body)
        disputed = page is None or any(finding.level == "violation" for finding in findings)
        result = (1 if disputed else 0) if forced is None else forced
        if page:
            self._close(page, body, result)
        answer = {"StartChargeSeq": body["StartChargeSeq"], "ConnectorID": body["ConnectorID"], "ConfirmResult": result}
        return Judgement(answer, findings=findings)

    def reconcile(self, body: dict[str, Any]) -> Judgement:
        """Compare a day's statement with the books; the disputed items carry our own figures (clause 13)."""
        disputes = [item for item in map(self._dispute, body["ChargeOrders"]) if item]
        answer = {
            "CheckOrderSeq": body["CheckOrderSeq"],
            "StartTime": body["StartTime"],
            "EndTime": body["EndTime"],
            "TotalDisputeOrder": len(disputes),
            "TotalDisputePower": sum((item["TotalPower"] for item in disputes), Decimal(0)),
            "TotalDisputeMoney": sum((item["TotalMoney"] for item in disputes), Decimal(0)),
            "DisputeOrders": disputes,
        }
        return Judgement(answer, findings=_statement_faults(body))

    # -- steps -------------------------------------------------------------------------------------------------------

    def _page(self, body: Mapping[str, Any]) -> tuple[Page | None, list[Finding]]:
        seq, connector = body["StartChargeSeq"], body["ConnectorID"]
        page = self.pages.get(seq)
        if page is None and self._accept_unknown:
            page = self.open_page(seq, connector)
        if page is None:
            return None, [Finding("violation", "unknown_order", seq, "we never started this order")]
        if page.connector_id != connector:
            text = f"started on {page.connector_id}, reported on {connector}"
            return None, [Finding("violation", "wrong_connector", seq, text)]
        return page, []

    def _moved(self, page: Page, stat: int, *, overtaken: bool) -> list[Finding]:
        if stat == UNKNOWN or stat >= page.stat:
            page.stat = page.stat if stat == UNKNOWN else stat
            return []
        text = f"StartChargeSeqStat {stat} after {page.stat}"
        if overtaken:
            return [Finding("note", "overtaken", page.start_charge_seq, text)]
        return [Finding("violation", "state_backwards", page.start_charge_seq, text)]

    def _sampled(self, page: Page, body: Mapping[str, Any], *, overtaken: bool) -> list[Finding]:
        page.samples += 1
        if overtaken:
            return []
        energy, before = Decimal(body["TotalPower"]), page.last_energy
        page.last_sample_at, page.last_energy = body["EndTime"], energy
        if energy < before:
            return [Finding("violation", "energy_backwards", page.start_charge_seq, f"{energy} kWh after {before}")]
        return []

    def _prices(self, page: Page, body: Mapping[str, Any]) -> list[Finding]:
        if not (page.policy and self._check_policy):
            return []
        return [
            Finding(
                "violation", "price_not_shown", page.start_charge_seq, f"{energy} + {service} yuan/kWh was never shown"
            )
            for energy, service in foreign_prices(body, page.policy, self._names)
        ]

    def _booked_before(self, page: Page, body: Mapping[str, Any]) -> list[Finding]:
        if page.order is None:
            return []
        page.repeats += 1
        if page.order == body:
            return [Finding("note", "repeated_order", page.start_charge_seq, "same content again, not booked twice")]
        if page.confirm_result != 0:
            return [Finding("note", "corrected_order", page.start_charge_seq, "other content after a dispute")]
        return [Finding("violation", "changed_order", page.start_charge_seq, "confirmed before with other content")]

    def _close(self, page: Page, body: dict[str, Any], result: int) -> None:
        page.stat = ENDED
        if page.order is None or page.confirm_result != 0:
            page.order, page.confirm_result = body, result

    def _dispute(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        page = self.pages.get(item["StartChargeSeq"])
        ours = page.order if page else None
        power = Decimal(ours["TotalPower"]) if ours else Decimal("0.00")
        money = Decimal(ours["TotalMoney"]) if ours else Decimal("0.00")
        if ours and money == Decimal(item["TotalMoney"]) and power == Decimal(item["TotalPower"]):
            return None
        reason = 1 if ours is None else (2 if money != Decimal(item["TotalMoney"]) else 3)
        seq = item["StartChargeSeq"]
        return {"StartChargeSeq": seq, "TotalPower": power, "TotalMoney": money, "DisputeReason": reason}


def _received(body: Mapping[str, Any], known: bool, *, with_reason: bool) -> dict[str, Any]:
    answer = {"StartChargeSeq": body["StartChargeSeq"], "SuccStat": 0 if known else 1}
    return answer | ({"FailReason": 0 if known else 1} if with_reason else {})


def _statement_faults(body: Mapping[str, Any]) -> list[Finding]:
    items = body["ChargeOrders"]
    power = sum((Decimal(item["TotalPower"]) for item in items), Decimal(0))
    money = sum((Decimal(item["TotalMoney"]) for item in items), Decimal(0))
    stated = (body["OrderCount"], Decimal(body["TotalOrderPower"]), Decimal(body["TotalOrderMoney"]))
    if stated == (len(items), power, money):
        return []
    text = f"stated {stated[0]}, {stated[1]} kWh, {stated[2]} yuan; items give {len(items)}, {power}, {money}"
    return [Finding("violation", "statement_sum", body["CheckOrderSeq"], text)]
